package store

import (
	"context"

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
	_ = ns.tell(writes{keys: []crdt.Key{k}}, func() error {
		_, found = ns.cache.get(k, ns.history.visible.commit+1)
		return context.Canceled
	})
	return found
}
