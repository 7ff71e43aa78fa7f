package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

func peerCommand(g *globals) *cobra.Command {
	return group("peer", "Whom this node keeps a link with", "  anabranch peer add hub.example:7600",
		peerAdd(g),
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
		meterArgs
	}
	peerRow struct {
		Address    string `json:"address"`
		Configured bool   `json:"configured"`
		Node       string `json:"node,omitempty"`
		State      string `json:"state"`
		// Found is how the address came to be known, and From who told it.
		Found string `json:"found"`
		From  string `json:"from,omitempty"`
		// SeenAs is where the peer sees this node.
		SeenAs   string     `json:"seen_as,omitempty"`
		Failure  string     `json:"failure,omitempty"`
		FailedAt *time.Time `json:"failed_at,omitempty"`
		Breaker  breakerRow `json:"breaker"`
		// Connected is when the link came up, and RTT in microseconds.
		Connected *time.Time `json:"connected,omitempty"`
		RTTMicros int64      `json:"rtt_us,omitempty"`
		Sent      uint64     `json:"bytes_sent"`
		Received  uint64     `json:"bytes_received"`
		Clock     *clockRow  `json:"clock,omitempty"`
		Meter     *meterRow  `json:"meter,omitempty"`
	}
	breakerRow struct {
		State    string `json:"state"`
		Failures int    `json:"failures"`
		// Until is when the address is tried next.
		Until *time.Time `json:"until,omitempty"`
	}
)

func peerVerb(g *globals, name string, cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runQuiet(cmd, g, name, peerArgs{Address: args[0]})
	}
	return cmd
}

func peerAdd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "add HOST:PORT", Short: "Keep a link with the node there, after restarts too",
		Long: `Add keeps a link with the node there from now on. With --metered, bytes cost on the
way: namespaces of priority bulk (see 'namespace priority') wait for another link,
and once --bytes-per-day is used up only urgent ones flow. What was used is written
down; a day is 24 hours of time that passed, whatever the clock says meanwhile.
Added without --metered again, a peer is metered as before.`,
		Example: "  anabranch peer add hub.example:7600\n  anabranch peer add hub.example:7600 --metered --bytes-per-day 50M",
		Args:    cobra.ExactArgs(1),
	}
	meter := meterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := meter()
		if err != nil {
			return err
		}
		return runQuiet(cmd, g, "peer add", peerArgs{args[0], m})
	}
	return cmd
}

func peerList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Print the peers and the state of the links with them",
		Long: `List prints the addresses that this node dials, and the nodes that dialed it.

FOUND is how an address came to be known: configured (--peer), saved ('peer add'
or 'join'), discovered on the LAN, learned from another peer, or met there before;
"dialed us" is a node whose link this node did not make. STATE is doubted while
packets go unanswered on a link that is up, and elsewhere where the node is linked
at another of its addresses. Below the peers is why a link is down,
and until when an address that failed again and again is left alone; who told of a
learned address, and where a peer sees this node; and how metered peers stand.`,
		Example: "  anabranch peer list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			var peers []peerRow
			p := newPrinter(out, g.output, "address", "node", "state", "found", "rtt", "sent", "received")
			err := call(cmd.Context(), g, "peer list", struct{}{}, func(r peerRow) error {
				peers = append(peers, r)
				return p.row(r, r.Address, r.Address, shortID(r.Node), r.State, r.Found, r.rtt(), byteCount(r.Sent), byteCount(r.Received))
			})
			if err = errors.Join(err, p.flush()); err != nil || g.output != outputTable {
				return err
			}
			printFailures(out, peers)
			printOrigins(out, peers)
			printMeters(out, peers)
			return nil
		},
	}
}

// printFailures prints why there is no link with a peer, a line each.
func printFailures(out io.Writer, peers []peerRow) {
	head := "\n"
	for _, p := range peers {
		breaker := p.Breaker.String()
		if p.Failure == "" && breaker == "" {
			continue
		}
		text := strings.ReplaceAll(strings.TrimPrefix(p.Failure, "dial "+p.Address+": "), "\n", "; ")
		if breaker != "" {
			text = strings.TrimPrefix(text+"; "+breaker, "; ")
		}
		fmt.Fprintf(out, "%s%s: %s\n", head, p.Address, printable(text))
		head = ""
	}
}

// printOrigins prints who told of an address, and where a peer sees this node
// if others have to know.
func printOrigins(out io.Writer, peers []peerRow) {
	head := "\n"
	for _, p := range peers {
		var said []string
		if p.From != "" {
			said = append(said, "learned from "+shortID(p.From))
		}
		if p.SeenAs != "" {
			said = append(said, "sees this node at "+p.SeenAs)
		}
		if said != nil {
			fmt.Fprintf(out, "%s%s: %s\n", head, p.Address, printable(strings.Join(said, ", ")))
			head = ""
		}
	}
}

// rtt returns the time that a packet takes there and back, for people.
func (r *peerRow) rtt() string {
	switch rtt := time.Duration(r.RTTMicros) * time.Microsecond; {
	case rtt == 0:
		return "-"
	case rtt >= 10*time.Millisecond:
		return rtt.Round(time.Millisecond).String()
	default:
		return rtt.Round(10 * time.Microsecond).String()
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
	meter, err := args.meter()
	if err != nil {
		return err
	}
	if meter == nil {
		return db.AddPeer(args.Address)
	}
	return db.AddPeerWith(args.Address, replica.PeerOptions{Meter: meter})
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

// String returns what is out of the ordinary, for people.
func (b *breakerRow) String() string {
	switch {
	case b.State == string(replica.BreakerClosed):
		return ""
	case b.Until != nil:
		return "left alone until " + b.Until.Local().Format(time.TimeOnly)
	}
	return "tried once more"
}

func shortID(id string) string { return id[:min(8, len(id))] }

func peerRowOf(p replica.PeerStatus) peerRow {
	row := peerRow{
		Address: p.Address, Configured: p.Configured, State: "disconnected", Found: string(p.Origin), SeenAs: p.SeenAs,
		Breaker:   breakerRow{State: string(p.Breaker.State), Failures: p.Breaker.Failures},
		Clock:     clockRowOf(p.Clock),
		Meter:     meterRowOf(p.Meter),
		RTTMicros: p.Stats.RTT.Microseconds(), Sent: p.Stats.BytesSent, Received: p.Stats.BytesReceived,
	}
	if !p.Node.IsZero() {
		row.Node = p.Node.String()
	}
	if !p.Connected.IsZero() {
		row.State, row.Connected = "connected", &p.Connected
	}
	switch {
	case p.Elsewhere:
		row.State = "elsewhere"
	case p.Doubted:
		row.State = "doubted"
	}
	if p.Origin == "" {
		row.Found = "dialed us"
	}
	if !p.From.IsZero() {
		row.From = p.From.String()
	}
	if !p.Breaker.Until.IsZero() {
		row.Breaker.Until = &p.Breaker.Until
	}
	if p.Failure != nil {
		row.Failure = p.Failure.Error()
		if !p.FailedAt.IsZero() {
			row.FailedAt = &p.FailedAt
		}
	}
	return row
}
