package replica

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// The costs of rejoining are measured at a size that takes seconds, and with
// -whole.keys=1000000 at the one that the README tells of.
var wholeKeys = flag.Int("whole.keys", 20_000, "how many keys a node has that rejoins")

// wholeValue is of 100 bytes.
func wholeValue(what string, i int) string {
	return fmt.Sprintf("%-100s", fmt.Sprint(what, i))
}

// fill writes the keys in transactions of 100.
func (n *wholeNode) fill(what string, from, to, step int) {
	n.fleet.t.Helper()
	for i := from; i < to; i += 100 * step {
		err := n.namespace("edge").UpdateWith(context.Background(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
			for j := i; j < min(i+100*step, to); j += step {
				if err := register(j).Set(tx, wholeValue(what, j)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			n.fleet.t.Fatal(err)
		}
	}
}

// apart runs fn while the second node cannot reach anybody, and returns what
// it takes it then to rejoin, both ways.
func (f *wholeFleet) apart(fn func()) (sum transport.LinkStats) {
	f.t.Helper()
	a, b := f.nodes[0], f.nodes[1]
	f.net.Cut(a.address, b.address)
	f.pass(time.Second)
	fn()
	_, before := b.db.mesh.traffic()
	f.net.Heal(a.address, b.address)
	f.pass(10 * time.Second)
	f.converge("edge")
	_, after := b.db.mesh.traffic()
	sum.FramesSent = after.FramesSent - before.FramesSent
	sum.FramesReceived = after.FramesReceived - before.FramesReceived
	sum.BytesSent = after.BytesSent - before.BytesSent
	sum.BytesReceived = after.BytesReceived - before.BytesReceived
	return sum
}

func total(s transport.LinkStats) int { return int(s.BytesSent + s.BytesReceived) }

// visit has n nodes that were never here write something each, and leave.
func (f *wholeFleet) visit(n int) {
	f.t.Helper()
	for i := range n {
		identity, err := f.authority.Enroll(nil, transport.AllNamespaces())
		if err != nil {
			f.t.Fatal(err)
		}
		guest := &wholeNode{
			fleet: f, identity: identity, address: fmt.Sprintf("guest%d:1", i), disk: vfs.NewCrashableMem(),
			options: Options{Peers: []string{f.nodes[0].address}},
		}
		guest.open()
		guest.update("edge", func(tx *Tx) error { return crdt.NewRegister[int]("guest", fmt.Sprint(i)).Set(tx, i) })
		for range 1000 {
			if len(f.nodes[0].namespace("edge").Vector()) > i+1 {
				break
			}
			f.pass(100 * time.Millisecond)
		}
		if err := guest.db.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// recordBytes returns what a register's key and record take, encoded.
func (n *wholeNode) recordBytes(i int) int {
	n.fleet.t.Helper()
	snap, err := n.namespace("edge").store.Snapshot()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	defer snap.Close()
	span, err := crdt.Path{"k", fmt.Sprintf("%06d", i)}.Subtree()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	e, ok, err := snap.Last(span)
	if err != nil || !ok {
		n.fleet.t.Fatalf("register %d: %v", i, err)
	}
	return len(e.Key) + len(crdt.AppendRecord(nil, e.Record, func(crdt.WriterID) uint64 { return 0 }))
}

// What it takes to rejoin, with the namespace of a fleet of 64.
func TestWhatARejoinCosts(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds, and many times that under the race detector")
	}
	inBubble(t, 3, simnet.Options{Latency: 5 * time.Millisecond}, func(f *wholeFleet) {
		a, b, c := f.nodes[0], f.nodes[1], f.nodes[2]
		f.net.Cut(b.address, c.address)
		for _, n := range f.nodes {
			n.collects(time.Hour)
			n.namespace("edge")
		}
		f.visit(64)
		keys := *wholeKeys
		a.fill("first ", 0, keys, 1)
		f.converge("edge")

		none := f.apart(func() {})
		t.Logf("%d keys, no difference: %d bytes, and %d frame each way", keys, total(none), none.FramesSent)
		// Each end says Hello, and its clock when the other's Hello comes: that is
		// one round trip after the first word.
		if total(none) >= 512 || none.FramesSent != 2 || none.FramesReceived != 2 {
			t.Errorf("a rejoin with no difference takes %+v", none)
		}

		const changed = 1000
		own := changed * a.recordBytes(1)
		log := f.apart(func() { a.fill("second ", 0, keys, keys/changed) })
		t.Logf("%d of them changed, by the log: %d bytes, %.2f times the records", changed, total(log), float64(total(log))/float64(own))
		if 10*total(log) > 13*own {
			t.Errorf("by the log %d bytes, more than 1.3 times %d", total(log), own)
		}

		rec := f.apart(func() {
			a.fill("third ", 1, keys, keys/changed)
			a.remove(0, 1)
			f.pass(3 * time.Hour)
			if b.namespace("edge").Vector().CoversAll(a.namespace("edge").store.Floor()) {
				t.Fatal("nothing was collected that the peer lacks")
			}
		})
		t.Logf("%d of them changed, by comparing: %d bytes, %.2f times the records", changed, total(rec), float64(total(rec))/float64(own))
		if total(rec) > 5*own {
			t.Errorf("by comparing %d bytes, more than 5 times %d", total(rec), own)
		}
	})
}

// A million increments of a hundred counters are a hundred slots.
func TestARejoinShipsSlotsAndNotIncrements(t *testing.T) {
	const counters = 100
	adds := *wholeKeys / counters
	inBubble(t, 2, simnet.Options{Latency: 5 * time.Millisecond}, func(f *wholeFleet) {
		a, b := f.nodes[0], f.nodes[1]
		add := func(n *wholeNode) {
			for i := range counters {
				err := n.namespace("edge").UpdateWith(context.Background(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
					return crdt.NewCounter("count", fmt.Sprint(i)).Add(tx, 1)
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		add(b)
		add(a)
		f.converge("edge")
		cost := f.apart(func() {
			for range adds {
				add(b)
			}
		})
		t.Logf("%d increments of %d counters: %d bytes", adds*counters, counters, total(cost))
		if most := counters * 128; total(cost) > most {
			t.Errorf("%d increments take %d bytes, want at most %d", adds*counters, total(cost), most)
		}
	})
}
