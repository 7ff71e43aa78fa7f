package store

import (
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// collected is what of the expiry index the last collection of this run has
// looked at. What it found and had to leave would be left again, while nothing
// more is removable.
type collected struct {
	removable *crdt.Past // nil: it has looked at nothing
	bucket    int64      // entries up to it
	now       int64      // and up to here, whether they lead nowhere
}

// sweepExpired collects what the expiry index leads to, as far as it may be,
// and of what has expired since the entries that lead nowhere: those of a
// record that is written again and again.
func (c *collector) sweepExpired() error {
	ns, last := c.ns, &c.ns.collected
	durable, now := meet(ns.Durable(), c.removable), ns.store.now()
	var from int64
	if last.removable != nil && last.removable.Equal(durable) {
		from = last.bucket + 1
	}
	if err := c.sweepBuckets(from, c.expired); err != nil {
		return err
	}
	if err := c.sweepBuckets(max(last.now, c.expired)+1, now); err != nil {
		return err
	}
	*last = collected{durable, c.expired, now}
	return nil
}

// sweepBuckets is sweepExpired for the entries from a bucket up to another.
func (c *collector) sweepBuckets(first, last int64) error {
	from := c.ns.expiries.expiring(nil, first, "")
	for from != nil {
		began := time.Now()
		next, err := c.expiredBatch(from, last)
		if err != nil {
			return err
		}
		if from = next; from == nil {
			break
		}
		if err := rest(c.ctx, 3*time.Since(began)); err != nil {
			return err
		}
	}
	return nil
}

// expiredBatch collects what one batch of index entries leads to, and returns
// the key that the next one begins at, nil if there is none up to a bucket.
func (c *collector) expiredBatch(from []byte, last int64) (next []byte, err error) {
	ns := c.ns
	if err := ns.store.engine.admit(); err != nil {
		return nil, err
	}
	ns.applying.Lock()
	defer ns.applying.Unlock()
	snap, err := ns.snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var w sweeping
	records := map[crdt.Key]crdt.Record{}
	err = ns.scanExpiries(snap.view.snap, from, last, func(e expiryEntry) bool {
		if len(w.entries) == collectKeys {
			next = e.raw
			return false
		}
		records[e.key] = nil
		w.entries = append(w.entries, e)
		return true
	})
	if err != nil {
		return nil, err
	}
	if err := c.read(snap, records); err != nil {
		return nil, err
	}
	w.drop = c.dropping(records)
	w.entries = slices.DeleteFunc(w.entries, func(e expiryEntry) bool { return c.needs(&e, records[e.key]) })
	if len(w.drop) == 0 && len(w.entries) == 0 {
		return next, nil
	}
	return next, c.commit(w)
}

// needs reports whether an index entry leads to an event that stays.
func (c *collector) needs(e *expiryEntry, rec crdt.Record) bool {
	return slices.ContainsFunc(rec, func(ev crdt.Event) bool { return e.leads(&ev) && !c.goes(ev) })
}

// dropEntries drops the index entries that lead nowhere now.
func (c *collector) dropEntries(b *pebble.Batch, entries []expiryEntry) error {
	for i := range entries {
		rec, err := c.ns.get(c.ns.store.engine.DB, entries[i].key)
		if err != nil {
			return err
		}
		if c.needs(&entries[i], rec) {
			continue // written meanwhile
		}
		if err := b.Delete(entries[i].raw, nil); err != nil {
			return err
		}
	}
	return nil
}

// expiring is a key, and when an event of its record expires.
type expiring struct {
	key     crdt.Key
	expires int64
}

// unindexed returns of some records the events that expire and that the expiry
// index does not lead to: the first release did not know that they do.
func (c *collector) unindexed(snap *Snapshot, records map[crdt.Key]crdt.Record) (lack []expiring, err error) {
	for _, k := range sortedKeys(records) {
		for _, e := range records[k] {
			if e.Expires == 0 {
				continue
			}
			found, err := c.ns.indexed(snap.view.snap, k, e.Expires)
			if err != nil {
				return nil, err
			}
			if !found {
				lack = append(lack, expiring{k, e.Expires})
			}
		}
	}
	return lack, nil
}

// putIndex puts the index entries of what lacks them.
func (c *collector) putIndex(b *pebble.Batch, lack []expiring) error {
	put := func(key, value []byte) error { return b.Set(key, value, nil) }
	for _, e := range lack {
		if err := c.ns.putExpiry(&c.ns.applyBuilder, e.key, e.expires, put); err != nil {
			return err
		}
	}
	return nil
}
