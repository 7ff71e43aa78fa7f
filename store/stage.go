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

// stage is the part of a delta that went to disk, in the staging space:
//
//	record   value as in the record space
//	expiry   as in the expiry index, of the events that may be new here
//
// and in files of its own the log of these events (stagelog.go).
// Its vector is not known before the delta ends, so writers are numbered per
// stage, in the order in which they come.
type stage struct {
	ns      *Namespace
	id      uint32
	records prefix
	expiry  prefix
	log     stageLog
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
	return errors.Join(st.log.remove(), st.ns.store.engine.deleteRange(stageRange(st.id)))
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
		if err := e.apply(b, false); err != nil {
			return err
		}
		b.Close()
		b = e.DB.NewBatch()
	}
	if b.Empty() {
		return nil
	}
	return e.apply(b, false)
}

func (st *stage) put(b *pebble.Batch, e *crdt.Entry, covered *crdt.Past) error {
	bl := &st.builder
	bl.key = st.records.record(bl.key[:0], e.Key)
	bl.value = appendRecord(bl.value[:0], e.Record, st.number)
	if len(st.writers) > crdt.MaxVectorEntries {
		return fmt.Errorf("%w: events of more than %d writers", crdt.ErrDelta, crdt.MaxVectorEntries)
	}
	st.count++
	if err := b.Set(bl.key, bl.value, nil); err != nil {
		return err
	}
	for i := range e.Record {
		d := e.Record[i].Dot
		if covered.Covers(d) {
			continue
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
	return nil
}

// has reports whether a record is staged.
func (st *stage) has(k []byte) (bool, error) {
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
func (st *stage) scan(first, last crdt.Key, yield func(*crdt.Entry) error) error {
	lower, upper := st.records.bounds(crdt.Span{From: first, To: last})
	if last != "" {
		upper = append(upper, 0)
	}
	it, err := st.ns.store.engine.DB.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	d := recordReader{writers: st.writer}
	for ok := it.First(); ok; ok = it.Next() {
		e, err := d.entry(it)
		if err == nil {
			err = yield(&e)
		}
		if err != nil {
			return err
		}
	}
	return readError(it.Error())
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
