package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

func peerCommand(g *globals) *cobra.Command {
	return group("peer", "Whom this node keeps a link with", "  anabranch peer add hub.example:7600",
		peerVerb(g, "peer add", &cobra.Command{
			Use: "add HOST:PORT", Short: "Keep a link with the node there, after restarts too",
			Example: "  anabranch peer add hub.example:7600",
		}),
		peerVerb(g, "peer remove", &cobra.Command{
			Use: "remove HOST:PORT", Short: "Keep no link with the node there, and close the one that is up",
			Example: "  anabranch peer remove hub.example:7600",
		}),
		peerList(g))
}

func peerHandlers() map[string]handler {
	return map[string]handler{
		"peer add":    verb(runPeerAdd),
		"peer remove": verb(runPeerRemove),
		"peer list":   verb(runPeerList),
		"offline":     verb(setOffline(true)),
		"online":      verb(setOffline(false)),
	}
}

type (
	peerArgs struct {
		Address string `json:"address"`
	}
	peerRow struct {
		Address    string `json:"address"`
		Configured bool   `json:"configured"`
		Node       string `json:"node,omitempty"`
		State      string `json:"state"`
		Failure    string `json:"failure,omitempty"`
		// Connected is when the link came up, and RTT in microseconds.
		Connected *time.Time `json:"connected,omitempty"`
		RTTMicros int64      `json:"rtt_us,omitempty"`
		Sent      uint64     `json:"bytes_sent"`
		Received  uint64     `json:"bytes_received"`
	}
)

func peerVerb(g *globals, name string, cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runQuiet(cmd, g, name, peerArgs{args[0]})
	}
	return cmd
}

func peerList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Print the peers and the state of the links with them",
		Example: "  anabranch peer list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := newPrinter(cmd.OutOrStdout(), g.output, "address", "node", "state", "rtt", "sent", "received", "failure")
			err := call(cmd.Context(), g, "peer list", struct{}{}, func(r peerRow) error {
				rtt := time.Duration(r.RTTMicros) * time.Microsecond
				return p.row(r, r.Address, r.Address, r.Node[:min(8, len(r.Node))], r.State,
					rtt.String(), byteCount(r.Sent), byteCount(r.Received), r.Failure)
			})
			if err != nil {
				return err
			}
			return p.flush()
		},
	}
}

func offlineCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "offline",
		Short: "Have the daemon close its links and make none, until 'online'",
		Long: `Offline closes every link of the running daemon and makes and takes none, until
'online' or a restart. Reads and writes go on as ever.`,
		Example: "  anabranch offline",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.awaitDaemon(cmd.Context()); err != nil {
				return err
			}
			return runQuiet(cmd, g, "offline", struct{}{})
		},
	}
}

func onlineCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "online",
		Short:   "Have the daemon make and take links again",
		Example: "  anabranch online",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.awaitDaemon(cmd.Context()); err != nil {
				return err
			}
			return runQuiet(cmd, g, "online", struct{}{})
		},
	}
}

func runPeerAdd(_ context.Context, db *replica.DB, args peerArgs, _ emit) error {
	return db.AddPeer(args.Address)
}

func runPeerRemove(_ context.Context, db *replica.DB, args peerArgs, _ emit) error {
	return db.RemovePeer(args.Address)
}

func setOffline(offline bool) func(context.Context, *replica.DB, struct{}, emit) error {
	return func(_ context.Context, db *replica.DB, _ struct{}, _ emit) error {
		return db.SetOffline(offline)
	}
}

func runPeerList(_ context.Context, db *replica.DB, _ struct{}, out emit) error {
	peers, err := db.Peers()
	if err != nil {
		return err
	}
	for _, p := range peers {
		if err := out(peerRowOf(p)); err != nil {
			return err
		}
	}
	return nil
}

func peerRowOf(p replica.PeerStatus) peerRow {
	row := peerRow{
		Address: p.Address, Configured: p.Configured, State: "disconnected",
		RTTMicros: p.Stats.RTT.Microseconds(), Sent: p.Stats.BytesSent, Received: p.Stats.BytesReceived,
	}
	if !p.Node.IsZero() {
		row.Node = p.Node.String()
	}
	if !p.Connected.IsZero() {
		row.State, row.Connected = "connected", &p.Connected
	}
	if p.Failure != nil {
		row.Failure = p.Failure.Error()
	}
	return row
}
