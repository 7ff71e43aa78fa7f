package store_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/anabranch-db/anabranch/store"
)

// pull brings what a peer has, sometimes with a commit in the middle.
func (w *crashWorld) pull(ns *store.Namespace, p *peer) {
	done, err := w.exchange(ns, w.peerNamespace(p, ns.Name()), func() {
		if w.rng.IntN(3) == 0 {
			w.overtake(ns)
		}
	})
	w.ok(err)
	w.saw("delta in memory", done.Changed && !done.Staged)
	w.saw("delta staged", done.Staged)
	w.saw("delta joined", done.Read > 0)
	w.saw("delta fast-forwarded", done.Changed && done.Read == 0 && done.Records > 0)
	if done.Changed {
		w.lines[ns.Incarnation()].advance(func(m *model) { m.merge(p.models[ns.Name()]) })
	}
}

// exchange brings what from has, by a delta, or by comparing all that they
// hold where to lacks what from has collected.
func (w *crashWorld) exchange(to, from *store.Namespace, overtake func()) (store.Applied, error) {
	d, err := tryDeltaOf(w.t, from, to.Vector())
	if err == nil {
		var done store.Applied
		if done, err = d.applyOvertaken(to, overtake); !errors.Is(err, store.ErrBelowFloor) {
			return done, err
		}
	}
	if !errors.Is(err, store.ErrBelowFloor) {
		return store.Applied{}, err
	}
	began, err := to.Reconcile()
	if err != nil {
		return store.Applied{}, err
	}
	defer began.Abort()
	r := &rejoin{Reconciliation: began}
	source := snapshot(w.t, from)
	defer source.Close()
	t := sickening{w.t, w}
	r.from(t, to, from, source)
	r.compare(t, source, 1<<30)
	w.saw("reconciliation", true)
	return r.FinishOvertaken(overtake)
}

// sickening is a tb that takes the errors of a sick disk for what they are.
type sickening struct {
	*testing.T
	w *crashWorld
}

func (s sickening) Fatal(args ...any) {
	s.Helper()
	if err, ok := args[0].(error); ok {
		s.w.ok(err)
	}
	s.T.Fatal(args...)
}

// tidy does what a store does in the background, and for its operator.
func (w *crashWorld) tidy(ns *store.Namespace, p *peer, n int) {
	switch {
	case n == 103 && w.full:
		// Pebble leaves tables alone for half a minute whose compaction failed,
		// and Compact would wait for a write after that
		w.ok(w.store.Flush())
	case n == 103:
		w.ok(w.store.Compact())
	case n == 104:
		w.ok(w.store.Backup(context.Background(), io.Discard, nil))
	case n < 107: // a peer, which we may then have to be compared with
		ns := w.peerNamespace(p, ns.Name())
		collect(w.t, ns, ns.Vector())
	default:
		w.ok(ns.Sync(context.Background()))
		done, err := ns.Collect(context.Background(), ns.Durable(), 0)
		w.ok(err)
		w.saw("collection", done.Removals > 0)
	}
}
