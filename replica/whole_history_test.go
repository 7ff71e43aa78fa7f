package replica

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/crdttest"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// Random histories of whole nodes, compared with an oracle that knows of each
// operation what its node had seen, and nothing of records and joins. It is
// what package crdt does with pure replicas; here the sync protocol, the
// store, its log and its recovery take part.
//
// A fleet plays several histories at a time, each in a namespace of its own:
// they share restarts, power cuts and partitions, and nothing else.

var (
	wholeFirst = flag.Uint64("whole.first", 1, "seed of the first fleet")
	wholeCount = flag.Int("whole.histories", 2000, "how many histories whole nodes play")
)

const (
	wholeNodes      = 3
	wholeNamespaces = 10
	wholeSteps      = 25 // and as many transactions in each namespace, about
)

func TestWholeNodesAgreeWithTheOracle(t *testing.T) {
	fleets := (*wholeCount + wholeNamespaces - 1) / wholeNamespaces
	if testing.Short() {
		fleets = min(fleets, 20)
	}
	t.Cleanup(func() { t.Attr("histories", strconv.Itoa(fleets*wholeNamespaces)) }) // once all are over
	for i := range uint64(fleets) {
		seed := *wholeFirst + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			playWhole(t, seed)
		})
	}
}

// wholeTrial is a fleet, and what the oracle knows of each namespace.
type wholeTrial struct {
	*wholeFleet
	rnd       *rand.Rand
	histories []crdttest.History[wholeOp]
	acked     map[ackedIn]crdt.Vector
	collects  bool // removals are collected after a minute
	// noted, if set, is told of each transaction: its run, and what that saw.
	noted func(n *wholeNode, ns int, writer crdt.WriterID, saw crdt.Vector)
}

// ackedIn names a namespace on a node.
type ackedIn struct {
	node *wholeNode
	ns   int
}

func playWhole(t *testing.T, seed uint64) { playSteps(t, seed, 0, wholeSteps, (*wholeTrial).step) }

// playSteps plays histories of which step lets the next things happen.
func playSteps(t *testing.T, seed, stream uint64, steps int, step func(*wholeTrial)) {
	o := simnet.Options{Seed: seed, Latency: 5 * time.Millisecond, Jitter: 10 * time.Millisecond, BreakRate: 0.01}
	inBubble(t, wholeNodes, o, func(f *wholeFleet) {
		w := &wholeTrial{
			wholeFleet: f, rnd: rand.New(rand.NewPCG(seed, stream)),
			histories: make([]crdttest.History[wholeOp], wholeNamespaces), acked: map[ackedIn]crdt.Vector{},
		}
		if w.collects = seed%2 == 0; w.collects {
			for _, n := range f.nodes {
				n.collects(time.Minute)
			}
		}
		for range steps {
			step(w)
			for ns := range w.histories {
				w.check(w.pick(), ns)
			}
		}
		f.net.HealAll()
		for ns := range w.histories {
			f.converge(wholeName(ns))
			for _, n := range f.nodes {
				w.check(n, ns)
			}
		}
	})
}

func wholeName(ns int) string { return fmt.Sprintf("ns%d", ns) }

func (w *wholeTrial) pick() *wholeNode { return w.nodes[w.rnd.IntN(len(w.nodes))] }

// step lets one thing happen to the network or to a node, and a transaction
// run in each namespace, somewhere.
func (w *wholeTrial) step() {
	a, b := w.pick(), w.pick()
	switch n := w.rnd.IntN(20); {
	case n < 4:
		w.net.Cut(a.address, b.address)
	case n < 8:
		w.net.Heal(a.address, b.address)
	case n < 9:
		w.net.Break(a.address, b.address)
	case n < 11:
		a.restart()
	case n < 13:
		a.cutPower()
	}
	for ns := range w.histories {
		w.transact(w.pick(), ns)
	}
	// From a moment in which nothing arrives to one in which links are made.
	w.pass([]time.Duration{0, 3 * time.Millisecond, 50 * time.Millisecond, 6 * time.Second}[w.rnd.IntN(4)])
	if w.collects && w.rnd.IntN(4) == 0 {
		w.pass(3 * time.Minute)
	}
}

// transact runs a random transaction, and tells the oracle of it.
func (w *wholeTrial) transact(n *wholeNode, ns int) {
	w.t.Helper()
	ops := make([]wholeOp, 1+w.rnd.IntN(3))
	for i := range ops {
		ops[i] = wholeOp{verb: w.rnd.IntN(wholeVerbs), place: w.rnd.IntN(2), n: 1 + w.rnd.Int64N(9)}
		ttl := []time.Duration{time.Millisecond, 50 * time.Millisecond, 6 * time.Second, 3 * time.Minute}[w.rnd.IntN(4)]
		ops[i].expires = n.db.now() + ttl.Milliseconds()
	}
	var writer crdt.WriterID
	synctest.Wait()
	seen := n.namespace(wholeName(ns)).Vector()
	n.update(wholeName(ns), func(tx *Tx) error {
		writer = tx.Writer()
		for _, op := range ops {
			if err := op.apply(tx); err != nil {
				return err
			}
		}
		return nil
	})
	after := n.namespace(wholeName(ns)).Vector()
	if after[writer] == seen[writer] {
		return // it had nothing to write
	}
	dot := crdt.Dot{Writer: writer, Seq: after[writer]}
	w.histories[ns].Record(dot, n.timeOf(wholeName(ns), dot), seen, ops...)
	w.acked[ackedIn{n, ns}] = after
	if w.noted != nil {
		w.noted(n, ns, writer, seen)
	}
}

// timeOf returns the timestamp of a transaction.
func (n *wholeNode) timeOf(namespace string, dot crdt.Dot) (at crdt.Timestamp) {
	n.fleet.t.Helper()
	err := n.namespace(namespace).View(context.Background(), func(v *View) error {
		for e, err := range v.Scan(crdt.AllKeys) {
			if err != nil {
				return err
			}
			for i := range e.Record {
				if e.Record[i].Dot == dot {
					at = e.Record[i].Time
				}
			}
		}
		return nil
	})
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return at
}

// check compares what a node reads with the oracle, and that all that it ever
// acknowledged is there.
func (w *wholeTrial) check(n *wholeNode, ns int) {
	w.t.Helper()
	var got string
	var covers crdt.Vector
	var now int64
	synctest.Wait()
	err := n.namespace(wholeName(ns)).View(context.Background(), func(v *View) (err error) {
		covers = n.namespace(wholeName(ns)).Vector()
		now = v.Time().UnixMilli()
		got, err = wholeReading(v)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if !covers.CoversAll(w.acked[ackedIn{n, ns}]) {
		w.t.Fatalf("%s lost what it had acknowledged in %s", n.address, wholeName(ns))
	}
	if want := wholeExpected(w.histories[ns].CoveredBy(covers), now); got != want {
		w.t.Fatalf("%s, %s reads\n  %s\nthe oracle says\n  %s", n.address, wholeName(ns), got, want)
	}
}
