package store

import (
	"context"
	"errors"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// RecordCacheBytes returns what the cached records of a namespace's store take.
func RecordCacheBytes(ns *Namespace) int64 { return ns.store.records.used.Load() }

// Snapshots returns how many snapshots of Pebble's are open.
func Snapshots(ns *Namespace) int { return ns.store.engine.DB.Metrics().Snapshots.Count }

// GetOvertaken is Get with something that happens before it reads.
func (p Pin) GetOvertaken(k crdt.Key, overtake func()) (crdt.Record, bool, error) {
	return p.get(k, overtake)
}

// FindsOnceVisible reports whether who reads k at a commit that writes it finds
// a record of before in the cache, the moment that the commit becomes visible.
// The commit then fails.
func (ns *Namespace) FindsOnceVisible(k crdt.Key) (found bool) {
	ns.commits.Lock()
	defer ns.commits.Unlock()
	_ = ns.tell(&writes{keys: []crdt.Key{k}}, func() error {
		_, found = ns.cache.get(k, ns.history.visible.commit+1)
		return context.Canceled
	})
	return found
}

// CommitGroup commits transactions of these ops as one batch.
func (ns *Namespace) CommitGroup(t testing.TB, txs ...[]Op) {
	t.Helper()
	var group []*queued
	for _, ops := range txs {
		group = append(group, &queued{write: &Write{Ops: ops, Buffered: true}})
	}
	ns.commits.Lock()
	p, err := ns.queue.commitGroup(ns, group)
	ns.commits.Unlock()
	if err = errors.Join(err, ns.settle(p, true)); err != nil {
		t.Fatal(err)
	}
}

// FailCommit has a commit of w fail in the moment in which it would become
// visible.
func (ns *Namespace) FailCommit(w *Write) {
	ns.commits.Lock()
	defer ns.commits.Unlock()
	_ = ns.tell(&writes{own: []*Write{w}}, func() error { return context.Canceled })
}
