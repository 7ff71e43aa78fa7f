package store

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// Reconciliation brings a namespace to what a source holds where the log does
// not tell: the namespace does not cover the source's floor, so the source
// may have collected removals that were never seen here. All records at which
// the two differ are put, and merged at once by Finish: what the source covers
// and does not hold is gone. Until then nothing of it is visible, and the
// namespace is read and written as ever.
//
// What differs is found by comparing a snapshot of the source with View. That
// is the namespace when the reconciliation began, with what was put before
// From in its place: so a run that broke off goes on with any source, and what
// came before is not sent again where that source has it too.
//
// It goes over the disk, so it takes little memory. Not safe for concurrent
// use; it ends with Finish or Abort. A store that is opened again has
// forgotten it.
type Reconciliation struct {
	ns    *Namespace
	snap  *Snapshot
	stage *stage
	view  *stagedView // nil before From

	entries []crdt.Entry // not yet in the stage
	size    int
	to      crdt.Vector // of the source
	floor   crdt.Vector
	ended   error

	overtake func() // tests commit here, between preparation and publication
}

// Reconcile begins a reconciliation with all that is visible.
func (ns *Namespace) Reconcile() (*Reconciliation, error) {
	snap, err := ns.Snapshot()
	if err != nil {
		return nil, err
	}
	r := &Reconciliation{ns: ns, snap: snap, stage: ns.newStage()}
	r.stage.replace = true
	return r, nil
}

// From begins to compare with a source's snapshot, which has that vector and
// floor. What was put so far enters the View. Errors wrap
// crdt.ErrUnknownWriter if the record of a writer was not learned,
// crdt.ErrDelta if no namespace has such a floor; then nothing has changed.
// Others end the reconciliation.
func (r *Reconciliation) From(vector, floor crdt.Vector) error {
	if r.ended != nil {
		return r.ended
	}
	for _, v := range []crdt.Vector{vector, floor} {
		if unknown := r.ns.Unknown(v); len(unknown) > 0 {
			return fmt.Errorf("%w: %s, and %d others", crdt.ErrUnknownWriter, unknown[0], len(unknown)-1)
		}
	}
	if !r.ns.Past(vector).CoversAll(floor) {
		return fmt.Errorf("%w: its floor is beyond its vector", crdt.ErrDelta)
	}
	if err := r.spill(); err != nil {
		return r.fail(err)
	}
	if err := r.closeView(); err != nil {
		return r.fail(err)
	}
	tables, err := r.stage.cutTables()
	if err != nil {
		return r.fail(err)
	}
	r.view = &stagedView{r.snap, r.stage, slices.Clone(tables), r.ns.store.engine.DB.NewSnapshot()}
	r.to, r.floor = vector, floor
	return nil
}

// View returns what the source is to be compared with. It stays the same until
// the next From, or the end.
func (r *Reconciliation) View() View { return r.view }

// View is what can be scanned.
type View interface {
	Scan(span crdt.Span) iter.Seq2[crdt.Entry, error]
}

func (r *Reconciliation) closeView() error {
	if r.view == nil {
		return nil
	}
	err := r.view.staged.Close()
	r.view = nil
	return err
}

// Put stages what the source holds at a key; no events mean that it holds
// nothing. It replaces what was put there before. r keeps the entry. Errors
// are those of Incoming.Add, and end the reconciliation.
func (r *Reconciliation) Put(e crdt.Entry) error {
	if r.ended != nil {
		return r.ended
	}
	if len(e.Record) > 0 {
		if err := checkEntry(&e); err != nil {
			return r.fail(err)
		}
	} else if err := e.Key.Validate(); err != nil {
		return r.fail(fmt.Errorf("%w: %w", crdt.ErrDelta, err))
	}
	r.entries = append(r.entries, e)
	if r.size += entrySize(&e); r.size < r.ns.store.options.StageBytes {
		return nil
	}
	return r.fail(r.spill())
}

func (r *Reconciliation) spill() error {
	at := r.ns.position()
	err := r.stage.spill(r.entries, at.past())
	r.entries, r.size = nil, 0
	return err
}

// Abort gives the reconciliation up. After Finish or Abort it does nothing.
func (r *Reconciliation) Abort() {
	if r.ended == nil {
		r.fail(errEnded)
	}
}

// fail ends the reconciliation if there is an error.
func (r *Reconciliation) fail(err error) error {
	if err == nil {
		return nil
	}
	r.ended, r.entries = errEnded, nil
	err = errors.Join(err, r.closeView(), r.stage.remove(), r.snap.Close())
	return r.ns.named("reconcile", err)
}

// Finish merges what was staged, as Incoming.Finish applies a delta: after it
// the namespace covers the source's vector, and its floor is the join of both.
// It is to be called once all that differs from the View was put.
func (r *Reconciliation) Finish() (Applied, error) {
	if r.ended != nil {
		return Applied{}, r.ended
	}
	if r.view == nil {
		return Applied{}, r.fail(errors.New("there is no source yet"))
	}
	ns := r.ns
	if err := ns.store.engine.admit(); err != nil {
		return Applied{}, r.fail(err)
	}
	done, err := r.finish()
	if err != nil {
		return Applied{}, r.fail(err)
	}
	r.ended, r.entries = errEnded, nil
	r.closeView()
	r.stage.remove() // if it fails, so will what comes next, and Open does it
	r.snap.Close()
	if done.Changed {
		ns.merged()
	}
	return done, nil
}

func (r *Reconciliation) finish() (done Applied, err error) {
	ns := r.ns
	ns.applying.Lock()
	defer ns.applying.Unlock()
	if err := r.spill(); err != nil {
		return Applied{}, err
	}
	a, err := ns.newMerge(r.to, r.floor)
	if err != nil || a == nil {
		return Applied{}, err
	}
	defer a.close()
	if err := r.stageOvertaken(a); err != nil {
		return Applied{}, err
	}
	m, err := newTableMerge(a, r.stage)
	if err != nil {
		return Applied{}, err
	}
	defer func() {
		if e := m.discard(); err != nil { // else it is in, whatever is left over
			err = errors.Join(err, e)
		}
	}()
	if err := m.prepare(); err != nil {
		return Applied{}, err
	}
	if r.overtake != nil {
		r.overtake()
	}
	err = m.publish()
	return a.done, err
}

// stageOvertaken stages the records that were equal when they were compared,
// and to which a delta has brought events since that the source covers: the
// source has superseded them, since it holds what was here then. What it holds
// is, of what is here now, what was here then.
func (r *Reconciliation) stageOvertaken(a *apply) error {
	since, now := r.snap.Past(), a.snap.Past()
	came := r.ns.ahead(since, meet(now, a.to))
	r.stage.tables.sealed = true // few come, each after a look for what is there
	var failed error
	err := scanLog(a.snap.view.snap, r.ns.log, came, func(_ uint32, _ uint64, key []byte) bool {
		var staged bool
		if staged, failed = r.stage.has(key); failed != nil || staged {
			return failed == nil
		}
		var rec crdt.Record
		if rec, failed = a.snap.read(crdt.Key(key)); failed != nil {
			return false
		}
		held := crdt.Record{}
		for _, e := range rec {
			if since.Covers(e.Dot) {
				held = append(held, e)
			}
		}
		failed = r.stage.spill([]crdt.Entry{{Key: crdt.Key(key), Record: held}}, now)
		return failed == nil
	})
	return errors.Join(err, failed)
}
