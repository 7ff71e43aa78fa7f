package store

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// stages hands out staging space. What a run left there nobody will finish:
// it is removed when the store is opened.
type stages struct {
	dir  string // of tables that wait to be ingested
	last atomic.Uint32
}

const stageDir = "stage"

// clean removes all that is staged.
func (s *stages) clean(e *engine) error {
	if err := e.FS.RemoveAll(s.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", s.dir, err)
	}
	lower, upper := []byte{spaceStage}, []byte{spaceStage + 1}
	it, err := e.DB.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readError(err)
	}
	some := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil || !some {
		return readError(err)
	}
	return e.deleteRange(lower, upper)
}

// deleteRange removes a range of keys, not yet durably.
func (e *engine) deleteRange(lower, upper []byte) error {
	b := e.DB.NewBatch()
	defer b.Close()
	if err := b.DeleteRange(lower, upper, nil); err != nil {
		return err
	}
	return e.free(b, false)
}

// stage is the part of a delta that went to disk: the records that came in the
// order of their keys in tables (stagetables.go), the log of the events that may
// be new here in files of its own (stagelog.go), and in the staging space:
//
//	record   of those that came otherwise: value as in the record space
//	expiry   as in the expiry index, of the events that may be new here
//
// Its vector is not known before the delta ends, so in the space and in the log
// writers are numbered per stage, in the order in which they come.
type stage struct {
	ns      *Namespace
	id      uint32
	records prefix
	expiry  prefix
	log     stageLog
	tables  stageTables
	loose   bool // some records are in the space
	kept    bool // something is
	numbers map[crdt.WriterID]uint32
	writers []crdt.WriterID
	count   int  // records put
	replace bool // a record that is put again replaces the one before
	builder builder
}

func (ns *Namespace) newStage() *stage {
	id := ns.store.stages.last.Add(1)
	return &stage{
		ns: ns, id: id, numbers: map[crdt.WriterID]uint32{},
		records: makePrefix(spaceStage, id, stageRecord),
		expiry:  makePrefix(spaceStage, id, stageExpiry),
		log:     ns.store.newStageLog(id),
	}
}

// remove frees the disk.
func (st *stage) remove() error {
	err := errors.Join(st.log.remove(), st.removeTables())
	if st.kept {
		err = errors.Join(err, st.ns.store.engine.deleteRange(stageRange(st.id)))
	}
	return err
}

// number interns a writer.
func (st *stage) number(w crdt.WriterID) uint64 {
	n, ok := st.numbers[w]
	if !ok {
		n = uint32(len(st.writers))
		st.numbers[w] = n
		st.writers = append(st.writers, w)
	}
	return uint64(n)
}

func (st *stage) writer(n uint64) (crdt.WriterID, bool) {
	if n >= uint64(len(st.writers)) {
		return crdt.WriterID{}, false
	}
	return st.writers[n], true
}

// spill puts entries on disk; covered is what is known not to be new.
func (st *stage) spill(entries []crdt.Entry, covered *crdt.Past) error {
	e := st.ns.store.engine
	if err := e.admit(); err != nil { // once per spill, which is about a memtable
		return err
	}
	b := e.DB.NewBatch()
	defer func() { b.Close() }()
	for i := range entries {
		if err := st.put(b, &entries[i], covered); err != nil {
			return err
		}
		if b.Len() < stageBatchBytes {
			continue
		}
		if err := st.keep(b); err != nil {
			return err
		}
		b.Close()
		b = e.DB.NewBatch()
	}
	if b.Empty() {
		return nil
	}
	return st.keep(b)
}

// keep puts a batch into the staging space.
func (st *stage) keep(b *pebble.Batch) error {
	st.kept = true
	return st.ns.store.engine.apply(b, false)
}

func (st *stage) put(b *pebble.Batch, e *crdt.Entry, covered *crdt.Past) error {
	inTable, err := st.putTable(e)
	if err == nil && !inTable {
		err = st.putLoose(b, e)
	}
	if err != nil {
		return err
	}
	st.count++
	bl := &st.builder
	for i := range e.Record {
		d := e.Record[i].Dot
		if covered.Covers(d) {
			continue
		}
		if inTable {
			w := st.tables.writer(st.ns, d.Writer)
			w.time = max(w.time, e.Record[i].Time)
		}
		if expires := e.Record[i].Expires; expires != 0 {
			bl.key = st.expiry.expiring(bl.key[:0], bucketOf(expires, st.ns.store.now()), e.Key)
			if err := b.Set(bl.key, nil, nil); err != nil {
				return err
			}
		}
		if err := st.log.add(uint32(st.number(d.Writer)), d.Seq, e.Key); err != nil {
			return err
		}
	}
	return st.checkWriters()
}

// checkWriters refuses events of more writers than a vector has.
func (st *stage) checkWriters() error {
	if len(st.writers) > crdt.MaxVectorEntries {
		return fmt.Errorf("%w: events of more than %d writers", crdt.ErrDelta, crdt.MaxVectorEntries)
	}
	return nil
}

// putLoose puts a record into the staging space.
func (st *stage) putLoose(b *pebble.Batch, e *crdt.Entry) error {
	st.loose = true
	st.tables.last = max(st.tables.last, e.Key)
	bl := &st.builder
	bl.key = st.records.record(bl.key[:0], e.Key)
	bl.value = appendRecord(bl.value[:0], e.Record, st.number)
	return errors.Join(st.checkWriters(), b.Set(bl.key, bl.value, nil))
}

// has reports whether a record is staged.
func (st *stage) has(k []byte) (bool, error) {
	if found, err := st.holdsInTable(k); found || err != nil || !st.loose {
		return found, err
	}
	_, closer, err := st.ns.store.engine.DB.Get(append(st.records[:], k...))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, readError(err)
	}
	return true, closer.Close()
}

// scan yields the staged records from one key up to and including another; an
// empty last is the end.
func (st *stage) scan(first, last crdt.Key, yield func(*crdt.Entry) error) (err error) {
	span := crdt.Span{From: first}
	if last != "" {
		span.To = last + "\x00"
	}
	tables, err := st.cutTables()
	if err != nil {
		return err
	}
	c, err := st.cursor(st.ns.store.engine.DB, tables, span)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	for {
		e, ok, err := c.next()
		if err != nil || !ok {
			return err
		}
		if err := yield(&e); err != nil {
			return err
		}
	}
}

// scanExpiry yields the entries of the expiry index, without their prefix.
func (st *stage) scanExpiry(yield func(suffix []byte) error) error {
	it, err := st.ns.store.engine.DB.NewIter(&pebble.IterOptions{LowerBound: st.expiry[:], UpperBound: st.expiry.end()})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := yield(it.Key()[prefixLen:]); err != nil {
			return err
		}
	}
	return readError(it.Error())
}
