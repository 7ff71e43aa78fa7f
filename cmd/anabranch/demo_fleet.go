package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/anabranch-db/anabranch/replica"
)

// fleet is the demo's nodes. The first one keeps the authority.
type fleet struct{ nodes []*demoNode }

// demoNode is one node: a directory, and a process that serves it.
type demoNode struct {
	name    string
	dir     string
	binary  string   // what runs it: this program
	flags   []string // of serve, beside those of every node
	address string
	process *exec.Cmd
}

// globals are what a verb for this node takes.
func (n *demoNode) globals() *globals { return &globals{dir: n.dir, output: outputJSON} }

// start makes the cluster and serves every node of it.
func (f *fleet) start(ctx context.Context) error {
	first := f.nodes[0]
	if _, err := replica.Init(first.dir); err != nil {
		return err
	}
	if err := first.serve(ctx); err != nil {
		return err
	}
	for _, n := range f.nodes[1:] {
		if err := first.admit(ctx, n); err != nil {
			return fmt.Errorf("%s joins: %w", n.name, err)
		}
		if err := n.serve(ctx); err != nil {
			return err
		}
	}
	// The newcomers dial the first, which they learned from the invite; the
	// last one dials the second as well.
	last := f.nodes[len(f.nodes)-1]
	return call(ctx, last.globals(), "peer add", peerArgs{Address: f.nodes[1].address}, func(struct{}) error { return nil })
}

// admit makes other a member, by an invite of n's.
func (n *demoNode) admit(ctx context.Context, other *demoNode) error {
	var token string
	err := call(ctx, n.globals(), "invite", inviteArgs{Valid: time.Minute}, func(r inviteRow) error {
		token = r.Token
		return nil
	})
	if err != nil {
		return err
	}
	_, err = replica.Join(ctx, other.dir, token)
	return err
}

// serve starts the process of n, and returns once it serves: at any free port,
// and later at that one again, or nodes that all restart would not find each
// other.
func (n *demoNode) serve(ctx context.Context) error {
	listen := cmp.Or(n.address, "127.0.0.1:0")
	args := append([]string{"serve", "--dir", n.dir, "--listen", listen, "--namespace", demoNamespace}, n.flags...)
	n.process = exec.Command(n.binary, args...)
	n.process.Stderr = os.Stderr
	out, err := n.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.process.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("%s did not begin to serve: %w", n.name, errors.Join(err, n.process.Wait()))
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // it prints no more, and ends with the process
	fields := strings.Fields(line)
	n.address = fields[len(fields)-1]
	return ctx.Err()
}

// stop ends every process.
func (f *fleet) stop() error {
	var errs []error
	for _, n := range f.nodes {
		if n.process == nil || n.process.Process == nil {
			continue
		}
		_ = n.process.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		if err := n.process.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", n.name, err))
		}
	}
	return errors.Join(errs...)
}

// each runs a verb without arguments on every node.
func (f *fleet) each(ctx context.Context, verb string) error {
	for _, n := range f.nodes {
		if err := call(ctx, n.globals(), verb, struct{}{}, func(struct{}) error { return nil }); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

// statuses returns the status of every node.
func (f *fleet) statuses(ctx context.Context) ([]statusRow, error) {
	var all []statusRow
	for _, n := range f.nodes {
		err := call(ctx, n.globals(), "status", struct{}{}, func(r statusRow) error {
			all = append(all, r)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return all, nil
}

// pollEvery is how often the demo asks the nodes how far they are.
const pollEvery = 2 * time.Millisecond

// converge waits until all nodes hold the same transactions, and returns
// their statuses then.
func (f *fleet) converge(ctx context.Context) ([]statusRow, error) {
	for {
		all, err := f.statuses(ctx)
		if err != nil {
			return nil, err
		}
		if converged(all) {
			return all, nil
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return nil, fmt.Errorf("the nodes did not converge: %w", ctx.Err())
		}
	}
}

// converged reports whether all hold the same of the demo's namespace.
func converged(all []statusRow) bool {
	hash := func(r statusRow) string {
		for _, ns := range r.Namespaces {
			if ns.Name == demoNamespace {
				return ns.Hash
			}
		}
		return ""
	}
	for _, r := range all {
		if hash(r) != hash(all[0]) {
			return false
		}
	}
	return true
}

// rejoin is what it took to come together again.
type rejoin struct {
	// Millis is the time from when the last node was told to go online until
	// all held the same.
	Millis float64 `json:"millis"`
	// Bytes is what all nodes together sent in that time: UDP payload, with
	// handshakes.
	Bytes uint64 `json:"bytes"`
	// Links is how many links were made.
	Links int `json:"links"`
}

// rejoin brings the nodes back online and waits until they agree.
func (f *fleet) rejoin(ctx context.Context) (rejoin, error) {
	before, err := f.statuses(ctx)
	if err != nil {
		return rejoin{}, err
	}
	if err := f.each(ctx, "online"); err != nil {
		return rejoin{}, err
	}
	start := time.Now()
	after, err := f.converge(ctx)
	if err != nil {
		return rejoin{}, err
	}
	r := rejoin{Millis: float64(time.Since(start).Microseconds()) / 1000}
	for i := range after {
		r.Bytes += after[i].Sent - before[i].Sent
		for _, p := range after[i].Peers {
			if p.State == "connected" {
				r.Links++
			}
		}
	}
	r.Links /= 2 // both ends counted it
	return r, nil
}
