package replica

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// logged takes what a node logs with a message: its error, or nil.
type logged struct {
	message string
	errs    chan error
}

func (l logged) Enabled(context.Context, slog.Level) bool { return true }

func (l logged) Handle(_ context.Context, r slog.Record) error {
	if r.Message != l.message {
		return nil
	}
	var err error
	r.Attrs(func(a slog.Attr) bool {
		if e, ok := a.Value.Any().(error); ok {
			err = e
		}
		return true
	})
	l.errs <- err
	return nil
}

func (l logged) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logged) WithGroup(string) slog.Handler      { return l }

// Nothing is compared with a peer that does not cover the floor: of all that it
// holds nothing could be taken.
func TestAHealBelowTheFloorBeginsNothing(t *testing.T) {
	inBubble(t, 1, simnet.Options{}, func(f *wholeFleet) {
		n := f.nodes[0]
		failed := logged{"a reconciliation failed", make(chan error, 1)}
		n.options.Logger = slog.New(failed)
		n.collects(time.Hour)
		n.put("kept", 0, 10)
		before := n.namespace("edge").Vector()
		n.remove(0, 5)
		f.pass(4 * time.Hour)
		ns := n.namespace("edge").store
		if len(ns.Floor()) == 0 {
			t.Fatal("nothing was collected")
		}
		heal := func(theirs crdt.Vector) {
			n.db.mesh.inbox.ask(func() {
				n.db.mesh.enqueue(ns, task{compare: &protocol.Reconcile{Job: 1, Namespace: ns, Vector: theirs, Heals: true}})
			})
			f.pass(time.Second)
		}
		if heal(n.namespace("edge").Vector()); len(failed.errs) > 0 {
			t.Errorf("with a peer at the same vector: %v", <-failed.errs)
		}
		if heal(before); len(failed.errs) == 0 {
			t.Error("with a peer below the floor it goes on")
		} else if err := <-failed.errs; err != errBelowFloor {
			t.Error(err)
		}
	})
}

// An offer that is ended before its snapshot is on disk keeps none.
func TestAnOfferThatEndsAtOnceKeepsNothing(t *testing.T) {
	inBubble(t, 2, simnet.Options{}, func(f *wholeFleet) {
		n := f.nodes[0]
		f.nodes[1].namespace("edge")
		n.put("value", 0, 10)
		f.converge("edge")
		m, ns := n.db.mesh, n.namespace("edge").store
		m.inbox.ask(func() {
			for _, l := range m.links {
				m.execute([]protocol.Effect{
					protocol.Offer{Job: 99, Link: l.id, Namespace: ns, Number: 1},
					protocol.EndServe{Link: l.id, Namespace: ns, Run: 99},
				}, func() {})
			}
		})
		f.pass(time.Second)
		for _, l := range m.links {
			l.offers.mu.Lock()
			if kept := len(l.offers.open); kept > 0 {
				t.Errorf("%d snapshots are kept", kept)
			}
			l.offers.mu.Unlock()
		}
	})
}

// However often peers say that they hold something else, the store is checked
// once for all of them, and not again for ten minutes.
func TestPeersShareTheChecksOfTheStore(t *testing.T) {
	inBubble(t, 3, simnet.Options{}, func(f *wholeFleet) {
		n := f.nodes[0]
		checked := logged{"the store is checked", make(chan error, 100)}
		n.options.Logger = slog.New(checked)
		n.restart()
		n.put("value", 0, 10)
		f.nodes[1].namespace("edge")
		f.nodes[2].namespace("edge")
		f.converge("edge")
		m, ns := n.db.mesh, n.namespace("edge").store
		differ := func() {
			m.inbox.ask(func() {
				for id := range m.links {
					m.compared(protocol.Compared{Link: id, Namespace: ns})
				}
			})
			f.pass(time.Second)
		}
		for range 60 {
			differ()
		}
		if got := len(checked.errs); got != 1 {
			t.Errorf("%d checks in a minute, want 1", got)
		}
		n.put("value", 0, 10)
		writer := ns.Writer()
		f.pass(minCheckRest - 2*time.Minute)
		if got := len(checked.errs); got != 1 || ns.Writer() != writer {
			t.Errorf("%d checks in the rest behind it, want none, and no writer more", got-1)
		}
		f.pass(time.Minute)
		if got := len(checked.errs); got != 2 {
			t.Errorf("%d checks when it is over, want 1", got-1)
		}
	})
}

// A digest that is remembered is of what was here before a reconciliation.
func TestAReconciliationForgetsTheDigest(t *testing.T) {
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
		f.nodes[0].remove(0, 50)
		f.pass(4 * time.Hour)
		if len(f.nodes[0].namespace("edge").store.Floor()) == 0 {
			t.Fatal("nothing was collected")
		}
		m, ns := away.db.mesh, away.namespace("edge").store
		m.inbox.ask(func() { m.digests[ns] = &digestRun{known: true} })
		f.net.Heal(away.address, f.nodes[0].address)
		f.net.Heal(away.address, f.nodes[1].address)
		f.converge("edge")
		away.holds("", 0, 50)
		kept := make(chan *digestRun, 1)
		m.inbox.ask(func() { kept <- m.digests[ns] })
		if at := <-kept; at != nil {
			t.Errorf("it is still %+v", at)
		}
	})
}
