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

// failures takes the errors that a node logs with a message.
type failures struct {
	message string
	errs    chan error
}

func (f failures) Enabled(context.Context, slog.Level) bool { return true }

func (f failures) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && r.Message == f.message {
			f.errs <- err
		}
		return true
	})
	return nil
}

func (f failures) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f failures) WithGroup(string) slog.Handler      { return f }

// Nothing is compared with a peer that does not cover the floor: of all that it
// holds nothing could be taken.
func TestAHealBelowTheFloorBeginsNothing(t *testing.T) {
	inBubble(t, 1, simnet.Options{}, func(f *wholeFleet) {
		n := f.nodes[0]
		failed := failures{"a reconciliation failed", make(chan error, 1)}
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
