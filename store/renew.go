package store

import "github.com/anabranch-db/anabranch/crdt"

// Renew ends this run's writer: what is written from now on has another one.
// It is for a process that may have been resumed from a copy of its memory,
// beside which the original goes on as the same writer. It does nothing before
// the first transaction. It waits for an apply under way, which has taken this
// run's writer as it was. Errors are those of Commit.
func (ns *Namespace) Renew() error {
	if err := ns.store.engine.admit(); err != nil {
		return ns.named("renew the writer of", err)
	}
	ns.applying.Lock()
	defer ns.applying.Unlock()
	ns.commits.Lock()
	defer ns.commits.Unlock()
	at := ns.history.visible
	if at.own.Seq == 0 {
		ns.disown()
		return nil
	}
	b := ns.store.engine.DB.NewBatch()
	defer b.Close()
	// Its log's tail will tell it no more.
	put := func(key, value []byte) error { return b.Set(key, value, nil) }
	if err := ns.putEntry(put, at.own); err != nil {
		return ns.named("renew the writer of", err)
	}
	if err := ns.publish(false, b, writes{}, func(h *history) { h.commitForeign(at.past(), crdt.Dot{}, at.floor) }); err != nil {
		return ns.named("renew the writer of", err)
	}
	defer ns.store.users.Done()
	ns.disown()
	ns.store.syncer.add(ns, false)
	return nil
}
