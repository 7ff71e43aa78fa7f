package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

func clusterHandlers() map[string]handler {
	return map[string]handler{
		"invite": verb(runInvite),
		"revoke": verb(runRevoke),
	}
}

// memberRow is what init and join answer.
type memberRow struct {
	Node    string   `json:"node"`
	Cluster string   `json:"cluster"`
	Peers   []string `json:"peers,omitempty"`
}

func printMember(cmd *cobra.Command, g *globals, m replica.Member) error {
	row := memberRow{m.Node.String(), m.Cluster.String(), m.Peers}
	p := newPrinter(cmd.OutOrStdout(), g.output)
	if g.output != outputTable {
		return p.row(row, row.Node)
	}
	for _, line := range [][2]string{{"node", row.Node}, {"cluster", row.Cluster}} {
		if err := p.row(nil, "", line[0], line[1]); err != nil {
			return err
		}
	}
	for _, peer := range m.Peers {
		if err := p.row(nil, "", "peer", peer); err != nil {
			return err
		}
	}
	return p.flush()
}

func initCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Make a cluster, with this directory's node as its first member",
		Long: `Init makes a cluster and keeps its authority in the directory (authority.key): the
key that makes other nodes members ('invite', 'join') and ends their membership
('revoke'). With the authority.key of a cluster in the directory, the node becomes a
member of that cluster instead. What the directory holds already stays.`,
		Example: "  anabranch init --dir ./hub",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := replica.Init(g.dir)
			if err != nil {
				return err
			}
			return printMember(cmd, g, m)
		},
	}
}

func joinCommand(g *globals) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "join TOKEN",
		Short: "Make this directory's node a member of the cluster that invited it",
		Long: `Join asks the node that made the invite, which must be serving, for a certificate,
and writes down the peers to begin with. An invite is good once; the same
directory may ask again if the answer was lost. No daemon may serve this directory
meanwhile.`,
		Example: "  anabranch join --dir ./camera \"$TOKEN\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			m, err := replica.Join(ctx, g.dir, args[0])
			if err != nil {
				return err
			}
			return printMember(cmd, g, m)
		},
	}
	cmd.Flags().DurationVar(&wait, "timeout", 30*time.Second, "how long to try")
	return cmd
}

type (
	inviteArgs struct {
		Addresses []string      `json:"addresses,omitempty"`
		Valid     time.Duration `json:"valid"`
		Read      []string      `json:"read,omitempty"`
		Write     []string      `json:"write,omitempty"`
	}
	inviteRow struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	}
)

func inviteCommand(g *globals) *cobra.Command {
	var args inviteArgs
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print a token that lets one node join the cluster, once",
		Long: `Invite prints a token for 'join'. Whoever has it may use it: hand it over like a
password. It is redeemed at this node while it serves, so it names the addresses
of this node: those that it listens at, or --address.`,
		Example: "  anabranch invite --valid 10m\n  anabranch invite --address hub.example:7600 --read 'models*' --read 'camera-*' --write 'camera-*'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(args.Addresses) == 0 {
				if err := g.awaitDaemon(cmd.Context()); err != nil {
					return fmt.Errorf("%w, or say with --address where the token will be redeemed", err)
				}
			}
			p := newPrinter(cmd.OutOrStdout(), g.output)
			err := call(cmd.Context(), g, "invite", args, func(r inviteRow) error {
				return p.row(r, r.Token, r.Token)
			})
			if err != nil {
				return err
			}
			return p.flush()
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&args.Addresses, "address", nil, "where this node can be reached, HOST:PORT; repeated")
	flags.DurationVar(&args.Valid, "valid", 24*time.Hour, "how long the token is good")
	flags.StringArrayVar(&args.Read, "read", nil, "a namespace that the node may read, or PREFIX*; repeated (default all)")
	flags.StringArrayVar(&args.Write, "write", nil, "a namespace that the node may write, which it must be able to read, or PREFIX*; repeated (default all that it may read)")
	return cmd
}

func runInvite(_ context.Context, db *replica.DB, args inviteArgs, out emit) error {
	if args.Valid <= 0 {
		return usagef("--valid %v: an invite must be good for some time", args.Valid)
	}
	grants := transport.AllNamespaces()
	if args.Read != nil {
		grants.Read = args.Read
	}
	if args.Write != nil {
		grants.Write = args.Write
	}
	token, expires, err := db.Invite(replica.InviteOptions{Addresses: args.Addresses, Valid: args.Valid, Grants: grants})
	if errors.Is(err, transport.ErrCredential) {
		return usagef("--read and --write: %w", err)
	}
	if err != nil {
		return err
	}
	return out(inviteRow{token, expires})
}

type revokeArgs struct {
	Node    string `json:"node"`
	Unknown bool   `json:"unknown,omitempty"`
}

func revokeCommand(g *globals) *cobra.Command {
	var unknown bool
	cmd := &cobra.Command{
		Use:   "revoke NODE",
		Short: "End a node's membership for ever",
		Long: `Revoke ends the membership of a node, named by its id in hex (see 'status' there, or
'peer list' here). Every member closes its links with it and takes none again, as
soon as it hears of it, which it does from any other. What the node wrote stays.
A node that this one has not heard of is taken for a mistyped one (exit code 3),
unless it is to be revoked all the same (--unknown).`,
		Example: "  anabranch revoke 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := parseNode(args[0]); err != nil {
				return err
			}
			return runQuiet(cmd, g, "revoke", revokeArgs{args[0], unknown})
		},
	}
	cmd.Flags().BoolVar(&unknown, "unknown", false, "revoke a node that this one has not heard of as well")
	return cmd
}

func runRevoke(_ context.Context, db *replica.DB, args revokeArgs, _ emit) error {
	node, err := parseNode(args.Node)
	if err != nil {
		return err
	}
	_, err = db.Cluster()
	if err == nil && !args.Unknown && !db.Knows(node) {
		return missingf("no member %s is known here (mistyped? see 'peer list'; with --unknown it is revoked all the same)", node.Short())
	}
	return db.Revoke(node)
}

// parseNode reads a node's id.
func parseNode(s string) (n crdt.NodeID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(n) {
		return n, usagef("node %s: want %d hex digits", cited(s), 2*len(n))
	}
	return crdt.NodeID(b), nil
}
