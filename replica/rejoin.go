package replica

import (
	"errors"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// rejoin is a reconciliation of a namespace. It outlives the link that it began
// on: what is staged is not fetched again.
type rejoin struct {
	*store.Reconciliation // nil: there is none
	begun                 *protocol.Reconcile
	comparer              *protocol.Comparer // nil: it waits for a source
	paused                time.Time          // since then it waits
	heal                  *heal              // nil, or what is compared in its place
}

// maxPause is how long a reconciliation that broke off waits for a source. It
// keeps disk space that compactions would free.
const maxPause = 10 * time.Minute

// reconcile begins to compare with a source, or goes on with another.
func (a *applier) reconcile(e *protocol.Reconcile) {
	r := &a.rejoin
	begin := func() error { return a.beginCompare(e) }
	if e.Heals || r.heal != nil {
		a.abortRejoin()
	}
	if e.Heals {
		begin = func() error { return a.beginHeal(e.Vector) }
	}
	r.begun, r.comparer = e, nil
	a.mesh.log.Info("reconciling with a peer", "namespace", a.store.Name(), "heals", e.Heals, "goes on", r.Reconciliation != nil)
	err := begin()
	if err == nil {
		err = a.compareOn()
	}
	a.endCompare(err)
}

// beginCompare sums up what is here and staged.
func (a *applier) beginCompare(e *protocol.Reconcile) (err error) {
	r := &a.rejoin
	if r.Reconciliation == nil {
		if r.Reconciliation, err = a.store.Reconcile(); err != nil {
			return err
		}
	}
	if err := r.From(e.Vector, e.Floor); err != nil {
		return err
	}
	summary, err := protocol.NewSummary(scanner{a.mesh.ctx, r.View()})
	if err == nil {
		r.comparer, err = protocol.NewComparer(summary, "")
	}
	return err
}

// takeAnswer stages what a frame of an answer brings.
func (a *applier) takeAnswer(e *protocol.TakeAnswer) {
	r := &a.rejoin
	if r.comparer == nil || r.begun.Job != e.Job {
		return // cancelled, or it failed
	}
	err := a.stage(e)
	if err == nil && e.Last {
		err = a.compareOn()
	}
	a.endCompare(err)
}

func (a *applier) stage(e *protocol.TakeAnswer) error {
	for entry, err := range a.rejoin.comparer.Answer(e.Last, e.Body) {
		if err != nil {
			return err
		}
		if a.rejoin.heal != nil {
			err = a.healWith(entry)
		} else {
			err = a.rejoin.Put(entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errCompared says that all is compared and merged.
var errCompared = errors.New("merged")

// compareOn sends the next compare, or merges if there is none.
func (a *applier) compareOn() error {
	r := &a.rejoin
	f, more, err := r.comparer.Next(r.begun.Number, r.begun.Run)
	if err != nil {
		return err
	}
	if more {
		a.mesh.send(r.begun.Link, r.begun.Lane, f)
		return nil
	}
	if r.heal != nil {
		err = a.healFound()
	} else {
		_, err = r.Finish()
	}
	if err != nil {
		return err
	}
	if err := a.store.Sync(a.mesh.ctx); err != nil {
		return err
	}
	return errCompared
}

// endCompare ends the comparison if there is an error, and tells the machine.
func (a *applier) endCompare(err error) {
	if err == nil {
		return
	}
	r := &a.rejoin
	done := protocol.Reconciled{Job: r.begun.Job, Durable: a.store.Durable(), Err: err}
	if r.heal != nil {
		done.Healed = r.heal.changed > 0
		a.healed(r.heal, r.begun)
	}
	a.abortRejoin()
	if errors.Is(err, errCompared) {
		done.Err = nil
	} else {
		a.mesh.log.Warn("a reconciliation failed", "namespace", a.store.Name(), "error", err)
	}
	a.mesh.inbox.ask(func() {
		delete(a.mesh.digests, a.store) // it is of what was here before
		a.mesh.step(done)
	})
}

// pauseRejoin ends a comparison that broke off, and keeps what is staged.
func (a *applier) pauseRejoin(job protocol.JobID) {
	switch r := &a.rejoin; {
	case r.comparer == nil || r.begun.Job != job:
	case r.heal != nil:
		a.abortRejoin()
	default:
		r.comparer, r.paused = nil, time.Now()
	}
}

// dropStale ends a reconciliation that waits for a source in vain.
func (a *applier) dropStale(durable *crdt.Past) {
	r := &a.rejoin
	if r.Reconciliation == nil || r.comparer != nil {
		return
	}
	if time.Since(r.paused) > maxPause || durable.CoversAll(r.begun.Vector) {
		a.abortRejoin()
	}
}

func (a *applier) abortRejoin() {
	if a.rejoin.Reconciliation != nil {
		a.rejoin.Abort()
	}
	if a.rejoin.heal != nil {
		a.rejoin.heal.snap.Close()
	}
	a.rejoin = rejoin{}
}
