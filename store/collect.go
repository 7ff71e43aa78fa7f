package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Collected says what a collection freed.
type Collected struct {
	// Removals is how many removals were dropped, Expired how many values that
	// had expired, and Log how many log entries, or parts of long ones, whose
	// events are superseded.
	Removals, Expired, Log int
}

// Collect drops the removals that removable covers, those of the values that it
// covers that expired by a time, in milliseconds since 1970 (0: none), and the
// log entries of transactions that are superseded: none of this changes what
// can be read, as long as no clock is behind that time. What is dropped enters
// the floor. Removals are looked for among what removable covers beyond the last
// collection. Log entries are looked for there too, and in the whole log once it
// has doubled, so that its size follows the live state and the cost of a write
// stays bounded.
//
// It works in small batches, beside commits and between applies, and rests
// three times as long as it works. Errors are those of Commit, or the
// context's; what was done by then stays done.
func (ns *Namespace) Collect(ctx context.Context, removable *crdt.Past, expired int64) (Collected, error) {
	if err := ns.store.use(); err != nil {
		return Collected{}, err
	}
	defer ns.store.users.Done()
	ns.collecting.Lock()
	defer ns.collecting.Unlock()
	c := collector{ns: ns, ctx: ctx, removable: removable, expired: expired}
	err := c.run()
	if err != nil {
		err = ns.named("collect in", err)
	}
	return c.done, err
}

// collector is one collection.
type collector struct {
	ns        *Namespace
	ctx       context.Context
	removable *crdt.Past
	expired   int64
	first     bool // nothing was collected before: the first release may have written here
	done      Collected
	live      uint64 // parts of log entries that stayed
}

func (c *collector) run() error {
	if err := c.sweepLog(); err != nil {
		return err
	}
	return c.sweepExpired()
}

// sweepLog collects what the log leads to.
func (c *collector) sweepLog() error {
	last, found, err := c.ns.loadSweep(c.ns.store.engine.DB)
	if err != nil {
		return err
	}
	c.first = !found
	durable := c.ns.Durable()
	upTo := meet(durable, c.removable)
	next := sweep{upTo: last.upTo.Clone(), transactions: last.transactions, live: last.live}
	next.upTo.Join(upTo)
	count := durable.Transactions()
	stretches := c.ns.ahead(last.upTo, upTo)
	whole := c.first || count-min(count, last.transactions) >= max(sweepLeast, last.live)
	if whole {
		stretches = c.ns.ahead(&crdt.Past{}, durable)
	}
	if len(stretches) == 0 {
		return nil
	}
	for len(stretches) > 0 {
		began := time.Now()
		if stretches, err = c.batch(stretches); err != nil {
			return err
		}
		if err := rest(c.ctx, 3*time.Since(began)); err != nil {
			return err
		}
	}
	if whole {
		next.transactions, next.live = count, c.live
	}
	return c.ns.saveSweep(next)
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// part is a part of a log entry.
type part struct {
	key    []byte // in Pebble
	writer crdt.WriterID
	seq    uint64
	keys   []crdt.Key
	stale  bool
}

// batch collects what one batch of log entries leads to, and returns the
// stretches that are left. No apply comes between its parts.
func (c *collector) batch(stretches []stretch) ([]stretch, error) {
	if err := c.ns.store.engine.admit(); err != nil {
		return nil, err
	}
	c.ns.applying.Lock()
	defer c.ns.applying.Unlock()
	snap, err := c.ns.snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	parts, left, err := c.parts(snap, stretches)
	if err != nil {
		return nil, err
	}
	records := map[crdt.Key]crdt.Record{}
	for i := range parts {
		for _, k := range parts[i].keys {
			records[k] = nil
		}
	}
	if err := c.read(snap, records); err != nil {
		return nil, err
	}
	w := sweeping{parts: parts, drop: c.dropping(records)}
	if c.first {
		if w.index, err = c.unindexed(snap, records); err != nil {
			return nil, err
		}
	}
	if stale := c.findStale(parts, records); len(w.drop) == 0 && stale == 0 && len(w.index) == 0 {
		return left, nil
	}
	return left, c.commit(w)
}

// sweeping is what a batch of a collection is about to do.
type sweeping struct {
	parts   []part        // those that are stale go
	drop    []crdt.Key    // records with something that goes
	index   []expiring    // what is to be found when it expires, and would not be
	entries []expiryEntry // of the expiry index, that go where they lead nowhere
}

// dropping returns the keys of the records with something that goes.
func (c *collector) dropping(records map[crdt.Key]crdt.Record) (drop []crdt.Key) {
	for _, k := range sortedKeys(records) {
		if c.drops(records[k]) {
			drop = append(drop, k)
		}
	}
	return drop
}

// parts reads the parts of a batch, and returns the stretches behind them.
func (c *collector) parts(snap *Snapshot, stretches []stretch) (parts []part, left []stretch, err error) {
	it, err := snap.view.snap.NewIter(&pebble.IterOptions{LowerBound: c.ns.log[:], UpperBound: c.ns.log.end()})
	if err != nil {
		return nil, nil, readError(err)
	}
	defer it.Close()
	keys := 0
	for i, s := range stretches {
		id, _ := c.ns.lineage.writer(uint64(s.writer))
		for ok := it.SeekGE(c.ns.log.logged(nil, s.writer, s.after+1)); ok; ok = it.Next() {
			w, seq, known := splitLogged(it.Key())
			if !known {
				return nil, nil, fmt.Errorf("%w: log key %x", ErrDamaged, it.Key())
			}
			if w != s.writer || seq > s.last {
				break
			}
			if keys >= collectKeys && seq != parts[len(parts)-1].seq {
				return parts, append([]stretch{{s.writer, seq - 1, s.last}}, stretches[i+1:]...), nil
			}
			p := part{key: bytes.Clone(it.Key()), writer: id, seq: seq}
			err := readLogKeys(it.Value(), func(key []byte) bool {
				p.keys = append(p.keys, crdt.Key(key))
				return true
			})
			if err != nil {
				return nil, nil, fmt.Errorf("%w: log entry %d of writer %d: %w", ErrDamaged, seq, w, err)
			}
			keys += len(p.keys) + 1
			parts = append(parts, p)
		}
		if err := it.Error(); err != nil {
			return nil, nil, readError(err)
		}
	}
	return parts, nil, nil
}

// read reads the records at the keys of a map, in their order.
func (c *collector) read(snap *Snapshot, records map[crdt.Key]crdt.Record) error {
	r, err := snap.seeker()
	if err != nil {
		return err
	}
	defer r.Close()
	for _, k := range sortedKeys(records) {
		if records[k], err = r.get(k); err != nil {
			return err
		}
	}
	return nil
}

// drops reports whether the record has an event that goes.
func (c *collector) drops(rec crdt.Record) bool { return slices.ContainsFunc(rec, c.goes) }

func (c *collector) goes(e crdt.Event) bool {
	return (e.Removed || e.Expired(c.expired)) && c.removable.Covers(e.Dot)
}

// findStale marks the parts that lead to no event that stays. Such a part
// stays stale: what was superseded never comes back.
func (c *collector) findStale(parts []part, records map[crdt.Key]crdt.Record) (stale int) {
	for i := range parts {
		p := &parts[i]
		d := crdt.Dot{Writer: p.writer, Seq: p.seq}
		p.stale = !slices.ContainsFunc(p.keys, func(k crdt.Key) bool {
			return slices.ContainsFunc(records[k], func(e crdt.Event) bool { return e.Dot == d && !c.goes(e) })
		})
		if p.stale {
			stale++
		} else {
			c.live++
		}
	}
	return stale
}

// commit drops what goes, as it is now.
func (c *collector) commit(w sweeping) error {
	ns := c.ns
	ns.commits.Lock()
	defer ns.commits.Unlock()
	b := ns.store.engine.DB.NewBatch()
	defer b.Close()
	at := ns.history.visible
	floor, done, err := c.dropEvents(b, w.drop, at.floor)
	if err != nil {
		return err
	}
	if done.Log, err = deleteParts(b, w.parts); err != nil {
		return err
	}
	if err := errors.Join(c.putIndex(b, w.index), c.dropEntries(b, w.entries)); err != nil {
		return err
	}
	if err := ns.putTails(b, at); err != nil {
		return err
	}
	if err := ns.publish(false, b, writes{keys: w.drop, same: true}, func(h *history) { h.commitForeign(at.foreign, at.own, floor) }); err != nil {
		return err
	}
	defer ns.store.users.Done()
	ns.store.syncer.add(ns, false)
	c.done.Removals += done.Removals
	c.done.Expired += done.Expired
	c.done.Log += done.Log
	return nil
}

// dropEvents drops what goes at the keys, and returns the floor after it.
func (c *collector) dropEvents(b *pebble.Batch, drop []crdt.Key, floor crdt.Vector) (_ crdt.Vector, done Collected, err error) {
	ns, dropped := c.ns, crdt.Vector{}
	bl := &ns.applyBuilder
	for _, k := range drop {
		rec, err := ns.get(ns.store.engine.DB, k)
		if err != nil {
			return nil, done, err
		}
		stays := c.divide(rec, dropped, &done)
		if len(stays) == len(rec) {
			continue // overwritten meanwhile
		}
		bl.key = ns.records.record(bl.key[:0], k)
		if len(stays) == 0 {
			err = b.Delete(bl.key, nil)
		} else {
			bl.value = appendRecord(bl.value[:0], stays, ns.mustNumber)
			err = b.Set(bl.key, bl.value, nil)
		}
		if err != nil {
			return nil, done, err
		}
	}
	if floor.CoversAll(dropped) {
		return floor, done, nil
	}
	floor = ns.joinFloors(floor, dropped)
	if err := b.DeleteRange(ns.floors[:], ns.floors.end(), nil); err != nil {
		return nil, done, err
	}
	put := func(key, value []byte) error { return b.Set(key, value, nil) }
	for _, d := range floor.Entries() {
		if err := ns.putEntryOf(ns.floors, put, d); err != nil {
			return nil, done, err
		}
	}
	return floor, done, nil
}

// divide returns what stays of a record, and counts what goes.
func (c *collector) divide(rec crdt.Record, dropped crdt.Vector, done *Collected) crdt.Record {
	stays := make(crdt.Record, 0, len(rec))
	for _, e := range rec {
		switch {
		case !c.goes(e):
			stays = append(stays, e)
			continue
		case e.Removed:
			done.Removals++
		default:
			done.Expired++
		}
		dropped.Advance(e.Writer, e.Seq)
	}
	return stays
}

// mustNumber returns the number of a writer that has one.
func (ns *Namespace) mustNumber(w crdt.WriterID) uint64 {
	n, ok := ns.lineage.number(w)
	if !ok {
		panic(fmt.Sprintf("store: an event of writer %s, which has no number", w))
	}
	return uint64(n)
}
