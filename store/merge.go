package store

import (
	"cmp"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// batchMerge applies a delta that is in memory as one batch.
type batchMerge struct {
	*apply
	entries []crdt.Entry // in key order
	batch   *pebble.Batch
	fresh   []freshEvent // in the order of the log
}

func newBatchMerge(a *apply, entries []crdt.Entry) *batchMerge {
	bytes := 0 // about what the batch takes, so that it is not copied as it grows
	for i := range entries {
		bytes += len(entries[i].Key) + entrySize(&entries[i])
	}
	return &batchMerge{apply: a, entries: entries, batch: a.ns.store.engine.DB.NewBatchWithSize(bytes)}
}

func (m *batchMerge) discard() error { return m.batch.Close() }

// prepare builds the batch.
func (m *batchMerge) prepare() error {
	if err := m.findTouched(len(m.entries), nil); err != nil {
		return err
	}
	fresh, err := m.putRecords()
	if err != nil {
		return err
	}
	if err := m.putLog(fresh); err != nil {
		return err
	}
	m.fresh = fresh
	return errors.Join(m.putMeta(m.set), m.deleteImplied(m.batch), m.putFloor(m.set))
}

func (m *batchMerge) set(key, value []byte) error { return m.batch.Set(key, value, nil) }

// putRecords puts the merged records, and returns the events that are new.
func (m *batchMerge) putRecords() ([]freshEvent, error) {
	fresh := make([]freshEvent, 0, len(m.entries))
	for i := range m.entries {
		e := &m.entries[i]
		err := m.admit(e, func(writer uint32, seq uint64) {
			fresh = append(fresh, freshEvent{writer, seq, i})
		})
		if err != nil {
			return nil, err
		}
		rec, err := m.merged(e)
		if err == nil {
			err = m.put(e.Key, rec)
		}
		if err == nil {
			err = m.putExpiries(e)
		}
		if err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// putExpiries puts the index entries of the events that are new here.
func (m *batchMerge) putExpiries(e *crdt.Entry) error {
	for i := range e.Record {
		ev := &e.Record[i]
		if ev.Expires == 0 || m.own.Covers(ev.Dot) {
			continue
		}
		if err := m.ns.putExpiry(&m.ns.applyBuilder, e.Key, ev.Expires, m.set); err != nil {
			return err
		}
	}
	return nil
}

// put puts a record, or its absence.
func (m *batchMerge) put(k crdt.Key, rec crdt.Record) error {
	bl := &m.ns.applyBuilder
	bl.key = m.ns.records.record(bl.key[:0], k)
	if len(rec) == 0 {
		return m.batch.Delete(bl.key, nil)
	}
	bl.value = appendRecord(bl.value[:0], rec, m.number)
	return m.set(bl.key, bl.value)
}

// freshEvent is an event that is new here: it gets its place in the log.
type freshEvent struct {
	writer uint32
	seq    uint64
	entry  int
}

// sameEntry reports whether both are of one transaction.
func (f freshEvent) sameEntry(o freshEvent) bool { return f.writer == o.writer && f.seq == o.seq }

func (f freshEvent) compare(o freshEvent) int {
	if c := cmp.Compare(f.writer, o.writer); c != 0 {
		return c
	}
	if c := cmp.Compare(f.seq, o.seq); c != 0 {
		return c
	}
	return cmp.Compare(f.entry, o.entry)
}

// putLog puts the log entries of the transactions that are new here.
func (m *batchMerge) putLog(fresh []freshEvent) error {
	if !slices.IsSortedFunc(fresh, freshEvent.compare) {
		slices.SortFunc(fresh, freshEvent.compare)
	}
	entry := &m.ns.applyBuilder.entry
	for i, f := range fresh {
		if i == 0 || !f.sameEntry(fresh[i-1]) {
			entry.start(m.ns.log, f.writer, f.seq)
		}
		if err := entry.add(m.entries[f.entry].Key, m.set); err != nil {
			return err
		}
		if i+1 == len(fresh) || !f.sameEntry(fresh[i+1]) {
			if err := entry.finish(m.set); err != nil {
				return err
			}
		}
	}
	return nil
}

// publish makes the batch valid for the present position, and visible.
func (m *batchMerge) publish() error {
	ns := m.ns
	ns.commits.Lock()
	defer ns.commits.Unlock()
	if err := m.rejoin(); err != nil {
		return err
	}
	if err := ns.publish(false, m.batch, writes{entries: m.entries, fresh: m.fresh}, m.move()); err != nil {
		return err
	}
	m.settled()
	return nil
}

// rejoin joins again what own commits wrote since the apply's snapshot, with
// what is there now: the batch's later put counts. The caller holds commits.
func (m *batchMerge) rejoin() error {
	db, now := m.ns.store.engine.DB, m.ns.history.visible
	var again []int
	err := m.ns.scanLog(db, m.ns.ownSince(m.snap.view.at, now), func(_ uint32, _ uint64, key []byte) bool {
		if i, found := slices.BinarySearchFunc(m.entries, crdt.Key(key), compareKey); found {
			again = append(again, i)
		}
		return true
	})
	if err != nil || len(again) == 0 {
		return err
	}
	own := now.past()
	slices.Sort(again)
	for _, i := range slices.Compact(again) {
		e := &m.entries[i]
		rec, err := m.ns.get(db, e.Key)
		if err == nil {
			rec, err = m.join(rec, own, e)
		}
		if err == nil {
			err = m.put(e.Key, rec)
		}
		if err != nil {
			return err
		}
		m.done.Read++
	}
	return nil
}

func compareKey(e crdt.Entry, k crdt.Key) int { return cmp.Compare(e.Key, k) }
