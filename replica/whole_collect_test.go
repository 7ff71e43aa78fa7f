package replica

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// register returns the register number i.
func register(i int) crdt.Register[string] {
	return crdt.NewRegister[string]("k", fmt.Sprintf("%06d", i))
}

// collects opens the node again with a retention, and with a clock of this
// century: the bubble's begins before any that was set.
func (n *wholeNode) collects(retention time.Duration) {
	n.fleet.t.Helper()
	n.options.Retention = retention
	n.options.Now = func() time.Time { return time.Now().AddDate(30, 0, 0) }
	n.restart()
}

// put writes, and remove removes, registers in one transaction.
func (n *wholeNode) put(value string, from, to int) {
	n.fleet.t.Helper()
	n.update("edge", func(tx *Tx) error {
		for i := from; i < to; i++ {
			if err := register(i).Set(tx, value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *wholeNode) remove(from, to int) {
	n.fleet.t.Helper()
	n.update("edge", func(tx *Tx) error {
		for i := from; i < to; i++ {
			if _, err := register(i).Delete(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// holds checks what a range of registers has; "" is nothing.
func (n *wholeNode) holds(value string, from, to int) {
	n.fleet.t.Helper()
	err := n.namespace("edge").View(context.Background(), func(v *View) error {
		for i := from; i < to; i++ {
			got, err := register(i).Get(v)
			if value == "" && err == nil {
				return fmt.Errorf("register %d is %q, not removed", i, got)
			}
			if value != "" && (err != nil || got != value) {
				return fmt.Errorf("register %d is %q (%v), not %q", i, got, err, value)
			}
		}
		return nil
	})
	if err != nil {
		n.fleet.t.Errorf("%s: %v", n.address, err)
	}
}

// A peer that returns after collection, with stale live keys, keys removed
// elsewhere and new writes of its own: nothing removed comes back, and none of
// its new writes is lost.
func TestAPeerReturnsAfterCollection(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.collects(time.Hour)
			n.namespace("edge")
		}
		away := f.nodes[2]
		away.put("old", 0, 100)
		f.converge("edge")
		f.net.Cut(away.address, f.nodes[0].address)
		f.net.Cut(away.address, f.nodes[1].address)
		away.put("mine", 100, 110)
		away.put("over it", 20, 25)
		f.nodes[0].remove(0, 50)
		f.nodes[1].put("new", 60, 70)
		f.pass(10 * time.Second)
		f.pass(3 * time.Hour)
		for _, n := range f.nodes[:2] {
			if len(n.namespace("edge").store.Floor()) == 0 {
				t.Fatalf("%s has collected nothing", n.address)
			}
		}
		away.put("late", 50, 52)
		resets := away.countResets()
		snap := f.nodes[0].snapshot()
		if _, err := wantsOffer(protocol.Build{}, snap, snap.Past(), false); !errors.Is(err, errNoFloors) {
			t.Errorf("to a peer that knows of no floors: %v", err)
		}
		snap.Close()
		f.net.Heal(away.address, f.nodes[0].address)
		f.net.Heal(away.address, f.nodes[1].address)
		f.converge("edge")
		for _, n := range f.nodes {
			n.holds("", 0, 20)
			n.holds("over it", 20, 25)
			n.holds("", 25, 50)
			n.holds("late", 50, 52)
			n.holds("old", 52, 60)
			n.holds("new", 60, 70)
			n.holds("old", 70, 100)
			n.holds("mine", 100, 110)
		}
		// What was removed elsewhere is in no log here.
		if n := resets.Load(); n != 1 {
			t.Errorf("a watch was reset %d times, want once", n)
		}
	})
}

// countResets watches until the database closes.
func (n *wholeNode) countResets() *atomic.Int64 {
	var resets atomic.Int64
	ns := n.namespace("edge")
	go func() {
		for ev := range ns.Watch(context.Background(), WatchOptions{}) {
			if ev.Kind == Reset {
				resets.Add(1)
			}
		}
	}()
	n.fleet.pass(time.Second)
	return &resets
}

func (n *wholeNode) snapshot() *store.Snapshot {
	n.fleet.t.Helper()
	snap, err := n.namespace("edge").store.Snapshot()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return snap
}

// Nothing is collected that a linked peer lacks, or that nobody else has.
func TestNothingIsCollectedThatIsKnownHereAlone(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.collects(time.Hour)
			n.namespace("edge")
		}
		f.nodes[0].put("old", 0, 10)
		f.converge("edge")
		f.net.Cut(f.nodes[0].address, f.nodes[1].address)
		f.pass(time.Minute)
		f.nodes[0].remove(0, 10)
		f.pass(4 * time.Hour)
		if floor := f.nodes[0].namespace("edge").store.Floor(); len(floor) > 0 {
			t.Errorf("what only one node knows was collected: %v", floor)
		}
		f.net.Heal(f.nodes[0].address, f.nodes[1].address)
		f.converge("edge")
		f.pass(3 * time.Hour)
		for _, n := range f.nodes {
			n.holds("", 0, 10)
			if floor := n.namespace("edge").store.Floor(); len(floor) == 0 {
				t.Errorf("%s has collected nothing", n.address)
			}
		}
	})
}

// A linked peer that may not be told, since it would take nothing from here, is
// a peer all the same: nothing is collected that it lacks.
func TestNothingIsCollectedThatALinkedPeerLacks(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		hub, writer, far := f.nodes[0], f.nodes[1], f.nodes[2]
		reader, err := f.authority.Enroll(nil, transport.Grants{Read: []string{"*"}})
		if err != nil {
			t.Fatal(err)
		}
		hub.identity = reader // nobody takes deltas from it
		for _, n := range f.nodes {
			n.collects(time.Hour)
			n.namespace("edge")
		}
		writer.put("old", 0, 10)
		f.converge("edge")
		f.net.Cut(writer.address, far.address)
		f.pass(time.Minute)
		writer.remove(0, 10)
		f.pass(4 * time.Hour)
		hub.holds("", 0, 10)
		far.holds("old", 0, 10)
		if floor := hub.namespace("edge").store.Floor(); len(floor) > 0 {
			t.Errorf("what a linked peer lacks was collected: %v", floor)
		}
		f.net.Heal(writer.address, far.address)
		f.converge("edge")
		f.pass(3 * time.Hour)
		far.holds("", 0, 10)
		if floor := hub.namespace("edge").store.Floor(); len(floor) == 0 {
			t.Error("nothing is collected once all have it")
		}
	})
}

// received returns how many bytes the node has received.
func (n *wholeNode) received() uint64 {
	_, sum := n.db.mesh.traffic()
	return uint64(sum.BytesReceived)
}

// A node with much to fetch takes it in steps: each link that breaks leaves it
// with what came, which is not sent again, and it reads and writes meanwhile.
func TestABrokenBootstrapGoesOn(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: 50 * time.Millisecond, WindowBytes: 256 << 10}, func(f *wholeFleet) {
		source, fresh, steady := f.nodes[0], f.nodes[1], f.nodes[2]
		f.net.Partition([]string{source.address}, []string{fresh.address}, []string{steady.address})
		f.pass(time.Second)
		const keys = 60000
		for i := range keys {
			err := source.namespace("edge").UpdateWith(context.Background(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
				return register(i).Set(tx, fmt.Sprint("a value of some length, so that it takes a while: ", i))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		fresh.put("mine", keys, keys+1)
		for i := range 5 {
			before := fresh.received()
			f.net.Heal(source.address, fresh.address)
			for wait := 0; fresh.received()-before < 200<<10; wait++ {
				if f.pass(20 * time.Millisecond); wait == 1000 {
					t.Fatalf("nothing came before break %d", i)
				}
			}
			f.net.Cut(source.address, fresh.address)
			f.pass(time.Second)
			if len(fresh.namespace("edge").Vector()) > 1 {
				t.Fatalf("break %d did not come in the middle", i)
			}
			fresh.put(fmt.Sprint(i), keys, keys+1)
			fresh.holds(fmt.Sprint(i), keys, keys+1)
		}
		f.net.Heal(source.address, fresh.address)
		f.pass(20 * time.Second)
		f.net.Heal(source.address, steady.address)
		f.converge("edge")
		broken, whole := fresh.received(), steady.received()
		if broken*100 > whole*105 {
			t.Errorf("with 5 breaks %d bytes were received, without any %d", broken, whole)
		}
		t.Logf("received %d bytes with 5 breaks, %d without", broken, whole)
	})
}

// The retention counts from when a removal came here, whatever the clock said
// where it was made: one that is years behind has nothing collected at once,
// and one that is years ahead keeps nothing for years.
func TestTheRetentionCountsFromTheArrival(t *testing.T) {
	for _, years := range []int{-15, 15} {
		inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
			good, wrong := f.nodes[0], f.nodes[1]
			for _, n := range f.nodes {
				n.collects(time.Hour)
			}
			now := wrong.options.Now
			wrong.options.Now = func() time.Time { return now().AddDate(years, 0, 0) }
			wrong.restart()
			wrong.put("old", 0, 10)
			f.converge("edge")
			wrong.remove(0, 10)
			f.converge("edge")
			f.pass(40 * time.Minute)
			if floor := good.namespace("edge").store.Floor(); len(floor) > 0 {
				t.Errorf("%d years off: after 40 minutes it was collected up to %v", years, floor)
			}
			f.pass(2 * time.Hour)
			for _, n := range f.nodes {
				if len(n.namespace("edge").store.Floor()) == 0 {
					t.Errorf("%d years off: after hours %s has collected nothing", years, n.address)
				}
				n.holds("", 0, 10)
			}
		})
	}
}
