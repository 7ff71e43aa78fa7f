package store

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// view is the namespace at one position. All who read it there share it: pins,
// which hold nothing of Pebble's, and snapshots. A pin is taken and given back
// without a lock, so that a read of one record costs no more than the record.
//
// As long as the position is the present one, Pebble's present is its state. A
// commit moves on from a view that is held only after it has a snapshot of
// Pebble's: whatever is read of it is of its position. Nobody who holds none
// has cost a snapshot.
type view struct {
	at    position     // fixed while the view is held
	refs  atomic.Int64 // pins and snapshots
	solid atomic.Bool  // snap is there
	// Under the state lock; a snapshot may read snap without it.
	snap      *pebble.Snapshot
	snapshots int
}

// Pin holds a namespace at one position, for reads of few records and for a
// Snapshot of the same position, if one is needed. It must be released, once.
// Unlike a Snapshot it keeps nobody from closing the store or dropping the
// namespace; then there is nothing to read any more. Safe for concurrent use,
// but for Release. The zero value has nothing.
type Pin struct {
	ns     *Namespace
	view   *view // nil: the pin of a snapshot
	commit uint64
}

// Pin returns a pin of all that is visible. It fails with ErrNoNamespace or
// ErrClosed.
func (ns *Namespace) Pin() (Pin, error) {
	for {
		v := ns.present.Load()
		if v == nil { // it is about to move, or the namespace is gone
			return ns.pinSlowly()
		}
		v.refs.Add(1)
		if ns.present.Load() == v { // else a commit may not have seen us
			return Pin{ns, v, v.at.commit}, nil
		}
		ns.unpin(v)
	}
}

func (ns *Namespace) pinSlowly() (Pin, error) {
	ns.state.Lock()
	defer ns.state.Unlock()
	if ns.gone != nil {
		return Pin{}, ns.named("read", ns.gone)
	}
	v := ns.present.Load()
	v.refs.Add(1)
	return Pin{ns, v, v.at.commit}, nil
}

// Release ends the pin.
func (p Pin) Release() {
	if p.view != nil {
		p.ns.unpin(p.view)
	}
}

// Number returns the number of the last commit that the pin shows.
func (p Pin) Number() uint64 { return p.commit }

// Snapshot returns a snapshot of the pin's position. It fails with
// ErrNoNamespace or ErrClosed.
func (p Pin) Snapshot() (*Snapshot, error) {
	p.ns.state.Lock()
	defer p.ns.state.Unlock()
	s, err := p.ns.snapshotOf(p.view)
	if err != nil {
		return nil, p.ns.named("read", err)
	}
	return s, nil
}

// Cached returns the record at k, removals included, if it is in memory. It must
// not be modified.
func (p Pin) Cached(k crdt.Key) (rec crdt.Record, ok bool) {
	if p.ns == nil || p.ns.over.Load() {
		return nil, false
	}
	return p.ns.cache.get(k, p.commit)
}

// Get returns the record at k, removals included, or nil, unless the namespace
// has moved on: then it takes a Snapshot. The record must not be modified. Errors
// are those of Snapshot.Get.
func (p Pin) Get(k crdt.Key) (rec crdt.Record, ok bool, err error) { return p.get(k, nil) }

// get is Get. overtake, unless it is nil, happens once the pin was seen to be of
// the present: tests have commits overtake it.
func (p Pin) get(k crdt.Key, overtake func()) (rec crdt.Record, ok bool, err error) {
	ns, v := p.ns, p.view
	if v == nil || v.solid.Load() || ns.present.Load() != v || ns.store.use() != nil {
		return nil, false, nil
	}
	defer ns.store.users.Done()
	if overtake != nil {
		overtake()
	}
	admit := ns.cache.admits(k)
	rec, err = ns.get(ns.store.engine.DB, k)
	if v.solid.Load() || ns.present.Load() != v { // what was read may be later
		return nil, false, nil
	}
	if err == nil && admit {
		ns.cache.put(k, rec, p.commit)
	}
	return rec, true, err
}

// Recall is Snapshot.Recall.
func (p Pin) Recall(span crdt.Span) (fold any, changed []crdt.Key) {
	return p.ns.memos.recall(span, p.commit)
}

// Remember is Snapshot.Remember.
func (p Pin) Remember(span crdt.Span, fold any, bytes int) {
	p.ns.memos.remember(span, p.commit, fold, bytes)
}

// Pins returns how many pins there are.
func (ns *Namespace) Pins() int {
	ns.state.Lock()
	defer ns.state.Unlock()
	n := 0
	count := func(v *view) { n += int(v.refs.Load()) - v.snapshots }
	for v := range ns.held {
		count(v)
	}
	if v := ns.present.Load(); v != nil && v.snap == nil {
		count(v)
	}
	return n
}

// snapshotOf returns a snapshot of a view that its caller holds, or that is the
// present one. The caller holds state.
func (ns *Namespace) snapshotOf(v *view) (*Snapshot, error) {
	if err := ns.use(); err != nil {
		return nil, err
	}
	v.refs.Add(1)
	v.snapshots++
	ns.solidify(v)
	return &Snapshot{ns, v}, nil
}

// solidify gives a view that is held a snapshot of Pebble's, if it has none: then
// it is the present one. The caller holds state.
func (ns *Namespace) solidify(v *view) {
	if v.snap != nil {
		return
	}
	v.snap = ns.store.engine.DB.NewSnapshot()
	ns.held[v] = struct{}{}
	v.solid.Store(true)
}

// unpin lets go of a view.
func (ns *Namespace) unpin(v *view) {
	if v.refs.Add(-1) > 0 || !v.solid.Load() {
		return
	}
	ns.state.Lock()
	defer ns.state.Unlock()
	_ = ns.melt(v) // of a pin; fails only for who closes twice
}

// melt closes the snapshot of a view that nobody holds, and in a namespace that
// is gone of one that only pins hold. The caller holds state.
func (ns *Namespace) melt(v *view) error {
	if v.snap == nil || v.snapshots > 0 || v.refs.Load() > 0 && ns.gone == nil {
		return nil
	}
	snap := v.snap
	v.snap = nil
	v.solid.Store(false)
	delete(ns.held, v)
	return snap.Close()
}

// part has no new pin come to the present view while it is moved on from, and
// returns it. It is as it is for those who hold it, whatever Pebble does then.
// The caller holds state.
func (ns *Namespace) part() *view {
	v := ns.present.Load()
	ns.present.Store(nil)
	if v.refs.Load() > 0 {
		ns.solidify(v)
		_ = ns.melt(v) // who held it may have let go before it was solid
	}
	return v
}

// arrive makes the visible position the present one. The caller holds state, and
// parted from the view before.
func (ns *Namespace) arrive(from *view) {
	if from.snap != nil || from.refs.Load() > 0 {
		from = &view{}
	}
	from.at = ns.history.visible
	ns.present.Store(from)
}

// leave is the end of the present view, in a namespace that is gone. The caller
// holds state.
func (ns *Namespace) leave() {
	ns.over.Store(true)
	ns.present.Store(nil)
	for v := range ns.held {
		_ = ns.melt(v)
	}
}
