package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

func statusHandlers() map[string]handler {
	return map[string]handler{
		"status": verb(runStatus),
		"digest": verb(runDigest),
	}
}

type (
	statusRow struct {
		Node    string `json:"node"`
		Dir     string `json:"dir"`
		Cluster string `json:"cluster,omitempty"`
		// Parted says why there is no cluster, where there was one.
		Parted    string  `json:"parted,omitempty"`
		Listen    string  `json:"listen,omitempty"`
		Offline   bool    `json:"offline"`
		Health    string  `json:"health"`
		DiskBytes uint64  `json:"disk_bytes"`
		Disk      diskRow `json:"disk"`
		// Sent and Received count UDP payload since the node was opened.
		Sent       uint64               `json:"bytes_sent"`
		Received   uint64               `json:"bytes_received"`
		Admission  admissionRow         `json:"admission"`
		Clock      *clockRow            `json:"clock,omitempty"`
		Namespaces []namespaceStatusRow `json:"namespaces"`
		Peers      []peerRow            `json:"peers"`
		Copies     []copyRow            `json:"copies,omitempty"`
		// Twins counts how often somebody wrote as this very run.
		Twins   int         `json:"twins"`
		Notices []noticeRow `json:"notices"`
	}
	// diskRow says what the bytes on disk are: tables, write-ahead logs, and
	// what is held back for when the disk is full.
	diskRow struct {
		Tables  uint64 `json:"tables"`
		Logs    uint64 `json:"logs"`
		Reserve uint64 `json:"reserve"`
	}
	// copyRow is a node that runs more than once at a time.
	copyRow struct {
		Node      string `json:"node"`
		Instances int    `json:"instances"`
	}
	// admissionRow counts what others opened: handshakes now and at most, those
	// refused for want of room, and peers that caught up at a time, at most.
	admissionRow struct {
		Handshakes     int    `json:"handshakes"`
		MostHandshakes int    `json:"most_handshakes"`
		Refused        uint64 `json:"refused"`
		MostCatchUps   int    `json:"most_catch_ups"`
	}
	namespaceStatusRow struct {
		Name         string `json:"name"`
		Hash         string `json:"vector_hash"`
		Transactions uint64 `json:"transactions"`
		Unsynced     uint64 `json:"unsynced"`
		// Unsent is how many of this node's own no peer is known to have; left
		// out if nobody was asked.
		Unsent   *uint64 `json:"unsent,omitempty"`
		Writers  int     `json:"writers"`
		Branches int     `json:"branches"`
		Watchers int     `json:"watchers"`
		Priority string  `json:"priority,omitempty"` // unless normal
		// Repairing says that a repair has not ended: it waits for peers.
		Repairing bool `json:"repairing,omitempty"`
		// Own are the lines of runs of this node: several if the directory
		// was copied, restored or set back. Losses are what peers had of
		// them and the store had not.
		Own    []branchRow `json:"own_branches"`
		Losses []lossRow   `json:"losses"`
		// Counters is what they took when it was last measured.
		Counters *counterUsageRow `json:"counters,omitempty"`
	}
	digestRow struct {
		Namespace string `json:"namespace"`
		Digest    string `json:"digest"`
	}
)

func statusCommand(g *globals) *cobra.Command {
	var args statusArgs
	c := &cobra.Command{
		Use:   "status",
		Short: "Print what this node is, holds, and is linked with",
		Long: `Status prints the node, its health, its namespaces and its peers. Nodes whose
namespace has the same vector hash hold the same transactions of it. If the
directory was copied, restored or set back, it names the branches of this node and
what the store had lost; and the last notices since the daemon began.

NOT ON DISK counts transactions that a power cut would take: they are written
within 50 ms. UNSENT counts this node's own transactions that no peer has told it
has since the daemon began: all of them until a peer was linked, and '-' where
nothing is synced. What is lost with this device is what is unsent.

A daemon measures once a day what counters take: their history grows by an
amount for each run of a node that added. With --counters they are measured now,
which reads every record.`,
		Example: "  anabranch status\n  anabranch status --counters\n  anabranch status -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return call(cmd.Context(), g, "status", args, func(r statusRow) error {
				return printStatus(cmd, g, r)
			})
		},
	}
	c.Flags().BoolVar(&args.Counters, "counters", false, "measure now what counters take")
	return c
}

func printStatus(cmd *cobra.Command, g *globals, r statusRow) error {
	if g.output != outputTable {
		p := newPrinter(cmd.OutOrStdout(), outputJSON)
		return p.row(r, "")
	}
	out := cmd.OutOrStdout()
	p := newPrinter(out, outputTable)
	for _, line := range [][2]string{
		{"node", r.Node}, {"cluster", r.cluster()}, {"directory", r.Dir},
		{"listening at", orNone(r.Listen)}, {"offline", strconv.FormatBool(r.Offline)},
		{"health", r.Health}, {"on disk", r.Disk.String()},
		{"sent, received", byteCount(r.Sent) + ", " + byteCount(r.Received)},
		{"clock", r.Clock.ownClock()}, {"turned away", r.Admission.turnedAway()},
	} {
		if line[1] == "" {
			continue
		}
		if err := p.row(nil, "", line[0], line[1]); err != nil {
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	if err := errors.Join(printNamespaces(out, r), printPeers(out, r)); err != nil {
		return err
	}
	printMeters(out, r.Peers)
	for _, c := range r.Copies {
		fmt.Fprintf(out, "\nnode %s is connected as %d instances: cloned, or restored while the original runs\n",
			c.Node[:8], c.Instances)
	}
	return printSaid(out, r)
}

// cluster returns the cluster for people to read.
func (r *statusRow) cluster() string {
	if r.Parted != "" {
		return "none: " + r.Parted
	}
	return orNone(r.Cluster)
}

func printNamespaces(out io.Writer, r statusRow) error {
	fmt.Fprintln(out)
	p := newPrinter(out, outputTable, "namespace", "transactions", "not on disk", "unsent", "branches", "writers", "vector hash")
	for _, ns := range r.Namespaces {
		unsent := "-"
		if ns.Unsent != nil {
			unsent = strconv.FormatUint(*ns.Unsent, 10)
		}
		err := p.row(nil, "", ns.Name, strconv.FormatUint(ns.Transactions, 10), strconv.FormatUint(ns.Unsynced, 10),
			unsent, strconv.Itoa(ns.Branches), strconv.Itoa(ns.Writers), shortID(ns.Hash))
		if err != nil {
			return err
		}
	}
	return p.flush()
}

func printPeers(out io.Writer, r statusRow) error {
	fmt.Fprintln(out)
	p := newPrinter(out, outputTable, "peer", "node", "state", "found", "clock")
	for _, peer := range r.Peers {
		if err := p.row(nil, "", peer.Address, shortID(peer.Node), peer.State, peer.Found, peer.Clock.peerClock()); err != nil {
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	printFailures(out, r.Peers)
	return nil
}

// String says how much disk is taken, for people.
func (d *diskRow) String() string {
	return fmt.Sprintf("%s of tables, %s of logs, %s in reserve", byteCount(d.Tables), byteCount(d.Logs), byteCount(d.Reserve))
}

// turnedAway says that others could not link with this node, if any could not.
func (a *admissionRow) turnedAway() string {
	if a.Refused == 0 {
		return ""
	}
	return fmt.Sprintf("%d connections for want of room; they try again", a.Refused)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// byteCount returns a number of bytes for people to read.
func byteCount(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

func digestCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "digest [NAMESPACE]",
		Short: "Print the SHA-256 of what can be read in a namespace, or in each",
		Long: `Digest prints a hash of all that can be read in a namespace. Nodes that hold the
same transactions print the same; it reads every record.`,
		Example: "  anabranch digest edge -o raw",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var request nameArgs
			if len(args) == 1 {
				request.Namespace = args[0]
			}
			p := newPrinter(cmd.OutOrStdout(), g.output)
			err := call(cmd.Context(), g, "digest", request, func(r digestRow) error {
				return p.row(r, r.Digest, r.Namespace, r.Digest)
			})
			if err != nil {
				return err
			}
			return p.flush()
		},
	}
}

func runDigest(ctx context.Context, db *replica.DB, args nameArgs, out emit) error {
	names := []string{args.Namespace}
	if args.Namespace == "" {
		var err error
		if names, err = db.Namespaces(); err != nil {
			return err
		}
	}
	for _, name := range names {
		ns, err := db.Lookup(name)
		if err != nil {
			return err
		}
		sum, err := ns.Digest(ctx)
		if err != nil {
			return err
		}
		if err := out(digestRow{name, hex.EncodeToString(sum[:])}); err != nil {
			return err
		}
	}
	return nil
}

func runStatus(ctx context.Context, db *replica.DB, args statusArgs, out emit) error {
	if args.Counters {
		if err := measureCounters(ctx, db); err != nil {
			return err
		}
	}
	s, err := db.Status()
	if err != nil {
		return err
	}
	row := statusRow{
		Node: s.Node.String(), Parted: s.Parted, Dir: s.Dir, Listen: s.Listen, Offline: s.Offline, Health: "good",
		DiskBytes: s.DiskBytes, Disk: diskRow(s.Disk), Sent: s.Traffic.BytesSent, Received: s.Traffic.BytesReceived,
		Clock:      clockRowOf(s.Clock),
		Namespaces: []namespaceStatusRow{}, Peers: []peerRow{}, Twins: s.Twins, Notices: []noticeRow{},
	}
	if c, err := db.Cluster(); err == nil {
		row.Cluster = c.String()
	}
	if s.Health != nil {
		row.Health = s.Health.Error()
	}
	for _, ns := range s.Namespaces {
		row.Namespaces = append(row.Namespaces, namespaceRowOf(ns))
	}
	for _, n := range s.Notices {
		row.Notices = append(row.Notices, noticeRowOf(n))
	}
	row.Admission = admissionRow{s.Admission.Handshakes, s.Admission.MostHandshakes, s.Admission.Refused, s.CatchUps}
	for _, p := range s.Peers {
		row.Peers = append(row.Peers, peerRowOf(p))
	}
	for _, c := range s.Copies {
		row.Copies = append(row.Copies, copyRow{c.Node.String(), c.Instances})
	}
	return out(row)
}
