package store

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// writes is which records a commit writes, for those who go by what they have
// read of them: folds that are remembered (memo.go) and transactions that are
// under way (recent.go). The zero value is none. Its keys are in slices as they
// come, since a commit would allocate a function that yields them.
type writes struct {
	own     []*Write // own transactions, up to the one that is the last then
	entries []crdt.Entry
	fresh   []freshEvent // of entries, in the order of the log; nil: not told
	keys    []crdt.Key
	any     bool // too many to tell, in their place
	// same says that what can be read stays: of removals and of what has
	// expired some is not there any more, which no transaction minds.
	same bool
}

// none reports whether nothing is written.
func (w *writes) none() bool {
	return !w.any && len(w.own) == 0 && len(w.entries) == 0 && len(w.keys) == 0
}

// all yields the keys.
func (w *writes) all(yield func(crdt.Key) bool) {
	for _, own := range w.own {
		for i := range own.Ops {
			if !yield(own.Ops[i].Key) {
				return
			}
		}
	}
	for i := range w.entries {
		if !yield(w.entries[i].Key) {
			return
		}
	}
	for _, k := range w.keys {
		if !yield(k) {
			return
		}
	}
}

// publish makes a batch visible, or nothing of it: Pebble and the position
// move together. The caller holds commits, and what it built is valid for the
// present position.
func (ns *Namespace) publish(durable bool, b *pebble.Batch, w writes, move func(*history)) error {
	return ns.tell(&w, func() error {
		ns.state.Lock()
		defer ns.state.Unlock()
		if err := ns.use(); err != nil {
			return err
		}
		before := ns.part()
		if err := ns.store.engine.apply(b, durable); err != nil {
			ns.present.Store(before)
			ns.store.users.Done()
			return err
		}
		move(&ns.history)
		ns.arrive(before)
		return nil
	})
}

// publishTables is publish for tables. Pebble moves while state is free, so
// the view of the position before, which has a snapshot, stays the present one
// until both have moved. The caller
// holds commits.
func (ns *Namespace) publishTables(paths []string, move func(*history)) error {
	before, err := ns.snapshot()
	if err != nil {
		return err
	}
	defer before.Close()
	return ns.tell(&writes{any: true}, func() error {
		ns.state.Lock()
		err = ns.use()
		ns.state.Unlock()
		if err != nil {
			return err
		}
		err = ns.store.engine.ingest(context.Background(), paths)
		ns.state.Lock()
		defer ns.state.Unlock()
		if err != nil {
			ns.store.users.Done()
			return err
		}
		from := ns.part()
		move(&ns.history)
		ns.arrive(from)
		return nil
	})
}

// tell tells what a commit writes around show, which makes it visible: by here
// comes all that becomes visible. Memos and the cache hear of it before, so that
// no snapshot that shows it finds a fold or a record without; to hear of one
// that then fails costs them little. Transactions do after: one that fails is
// not theirs to conflict with; and so does the cache of what is there instead.
// The caller holds commits.
func (ns *Namespace) tell(w *writes, show func() error) error {
	ns.cache.wrote(ns.history.visible.commit+1, w)
	ns.memos.wrote(ns.history.visible.commit+1, w)
	if err := show(); err != nil {
		return err
	}
	if len(w.own) > 0 {
		first := ns.history.visible.own
		first.Seq -= uint64(len(w.own)) - 1
		ns.cache.renewed(ns.history.visible.commit, first, w.own)
	}
	ns.recent.wrote(ns.history.visible.commit, w)
	ns.newest.wrote(ns.own, ns.history.visible.own.Seq, w)
	return nil
}
