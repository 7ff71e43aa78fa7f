package replica

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// meet has time pass until nodes hold the same, whatever the others hold.
func meet(nodes ...*wholeNode) {
	f := *nodes[0].fleet
	f.t.Helper()
	f.nodes = nodes
	f.converge("edge")
}

// add adds to the counter, and returns the writer that did and its number.
func (n *wholeNode) add(amount int64) crdt.Dot {
	n.fleet.t.Helper()
	n.update("edge", func(tx *Tx) error { return passes.Add(tx, amount) })
	w := n.namespace("edge").store.Writer()
	return crdt.Dot{Writer: w, Seq: n.namespace("edge").Vector()[w]}
}

func (n *wholeNode) wantPasses(want int64) {
	n.fleet.t.Helper()
	err := n.namespace("edge").View(context.Background(), func(v *View) error {
		if got, err := passes.Get(v); err != nil || got != want {
			n.fleet.t.Errorf("%s counts %d (%v), want %d", n.address, got, err, want)
		}
		return nil
	})
	if err != nil {
		n.fleet.t.Fatal(err)
	}
}

// wantParents wants the writer of this run to have these parents, and no more.
func (n *wholeNode) wantParents(parents ...crdt.Dot) {
	n.fleet.t.Helper()
	s := n.namespace("edge").store
	rec, err := s.WriterRecord(s.Writer())
	if err != nil || rec == nil {
		n.fleet.t.Fatalf("no record of writer %s (%v)", s.Writer(), err)
	}
	slices.SortFunc(parents, crdt.Dot.Compare)
	if !slices.Equal(rec.Parents, parents) {
		n.fleet.t.Errorf("%s wrote with the parents %v, want %v", n.address, rec.Parents, parents)
	}
}

func (n *wholeNode) digest() [32]byte {
	n.fleet.t.Helper()
	sum, err := n.namespace("edge").Digest(context.Background())
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return sum
}

// dropped drops a namespace, which must leave nothing of it here.
func (n *wholeNode) dropped(name string) {
	n.fleet.t.Helper()
	if err := n.db.Drop(name); err != nil {
		n.fleet.t.Fatal(err)
	}
	if _, err := n.db.Lookup(name); !errors.Is(err, ErrNoNamespace) {
		n.fleet.t.Errorf("%s: dropped, it is %v", n.address, err)
	}
}

// A namespace that is dropped goes here and nowhere else, and held again it is
// filled by others. What is written at once, before that, is as of another
// node: its writer has seen nothing that the node wrote before. What it writes
// when a peer has filled it that lacks the last of it has seen no more than the
// peer has: else the others would think that it has the rest, and never send
// it.
func TestADroppedNamespaceHeldAgainHasSeenNoMoreThanItHolds(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		hub, device, stale := f.nodes[0], f.nodes[1], f.nodes[2]
		hub.namespace("edge")
		stale.namespace("edge")
		device.put("first", 0, 20)
		early := device.add(7)
		hub.add(10000)
		f.converge("edge")
		f.net.Partition([]string{hub.address, device.address}, []string{stale.address})
		device.put("late", 10, 30)
		late := device.add(5)
		meet(hub, device)
		before, vector := hub.digest(), hub.namespace("edge").Vector()

		device.dropped("edge")
		f.pass(time.Minute)
		if !maps.Equal(hub.namespace("edge").Vector(), vector) || hub.digest() != before {
			t.Error("it was dropped at the hub as well")
		}
		hub.wantPasses(10012)
		hub.holds("late", 10, 30)

		f.net.Partition([]string{hub.address}, []string{device.address}, []string{stale.address})
		f.pass(time.Minute)
		device.put("anew", 30, 32) // subscribes
		device.add(300)
		device.wantParents()
		device.holds("", 0, 30)
		device.wantPasses(300)

		f.net.Heal(device.address, stale.address)
		meet(device, stale)
		device.wantPasses(10307)
		anew := device.add(2000) // the writer of before the filling goes on
		device.wantParents()
		device.restart()
		device.add(40)
		device.wantParents(crdt.Dot{Writer: early.Writer, Seq: early.Seq}, anew)
		if late.Writer != early.Writer || late.Seq <= early.Seq {
			t.Fatalf("%v is not of the run of %v", late, early)
		}

		f.net.HealAll()
		f.converge("edge")
		for _, n := range f.nodes {
			n.holds("first", 0, 10)
			n.holds("late", 10, 30)
			n.holds("anew", 30, 32)
			n.wantPasses(12352)
		}
		device.restart()
		device.add(1)
		f.converge("edge")
		stale.wantPasses(12353)
	})
}

var wholeDrops = flag.Int("whole.drops", 50, "how many histories with dropped namespaces whole nodes play")

// Random histories as those of TestWholeNodesAgreeWithTheOracle, in which nodes
// also drop namespaces, at any moment, and hold them again. The oracle knows
// nothing of it: a node has seen what its vector says, filled or not.
func TestDroppedNamespacesAgreeWithTheOracle(t *testing.T) {
	for i := range uint64(*wholeDrops+wholeNamespaces-1) / wholeNamespaces {
		seed := *wholeFirst + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			playSteps(t, seed, 3, 2*wholeSteps, (*wholeTrial).dropAndStep)
		})
	}
}

// dropAndStep drops some namespaces at some nodes ahead of a step.
func (w *wholeTrial) dropAndStep() {
	w.t.Helper()
	for ns := range w.histories {
		if w.rnd.IntN(6) == 0 {
			w.drop(w.pick(), ns)
		}
	}
	w.step()
}

// drop drops a namespace at a node, with what only that has.
func (w *wholeTrial) drop(n *wholeNode, ns int) {
	w.t.Helper()
	n.namespace(wholeName(ns))
	n.dropped(wholeName(ns))
	delete(w.acked, ackedIn{n, ns})
}
