package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// stageTables are the records of a stage that came in the order of their keys,
// of writers that are known: sorted tables, as the namespace is to get them. So
// a delta that comes in order, and meets nothing of ours, is written once.
//
// What came otherwise is loose, in the staging space, and counts before these.
type stageTables struct {
	*tableWriter          // nil: there is none yet
	sealed       bool     // all that comes is loose
	last         crdt.Key // of all that came; a key that comes again is loose
	writers      map[crdt.WriterID]*stagedWriter
	latest       *stagedWriter // the one looked up last

	open     *pebble.Iterator // of the table at openPath, for who reads next; or nil
	openPath string
}

// stagedWriter is what the tables hold of a writer.
type stagedWriter struct {
	id     crdt.WriterID
	number uint32
	most   uint64         // its last event
	time   crdt.Timestamp // of its latest event that may be new here
}

// writer looks a writer up; it is nil if its record was not learned.
func (t *stageTables) writer(ns *Namespace, w crdt.WriterID) *stagedWriter {
	if t.latest != nil && t.latest.id == w {
		return t.latest
	}
	sw := t.writers[w]
	if sw == nil {
		n, ok := ns.lineage.foresee(w)
		if !ok || len(t.writers) >= crdt.MaxVectorEntries {
			return nil
		}
		if t.writers == nil {
			t.writers = map[crdt.WriterID]*stagedWriter{}
		}
		sw = &stagedWriter{id: w, number: n}
		t.writers[w] = sw
	}
	t.latest = sw
	return sw
}

// putTable puts a record into the tables, and reports whether it may be there.
func (st *stage) putTable(e *crdt.Entry) (bool, error) {
	t := &st.tables
	if t.sealed || e.Key <= t.last {
		return false, nil
	}
	for i := range e.Record {
		if t.writer(st.ns, e.Record[i].Writer) == nil {
			return false, nil
		}
	}
	if t.tableWriter == nil {
		var err error
		if t.tableWriter, err = st.ns.store.newTableWriter(st.id, "staged"); err != nil {
			return false, err
		}
	}
	bl := &st.builder
	bl.key = st.ns.records.record(bl.key[:0], e.Key)
	bl.value = appendRecord(bl.value[:0], e.Record, func(w crdt.WriterID) uint64 { return uint64(t.writer(st.ns, w).number) })
	if err := t.putRecord(e.Key, bl.key, bl.value); err != nil {
		return false, err
	}
	t.last = e.Key
	at := &t.tables[len(t.tables)-1]
	at.absent = at.absent || len(e.Record) == 0
	for i := range e.Record {
		ev := &e.Record[i]
		at.leaves = at.leaves || ev.Removed || ev.Expires != 0
		sw := t.writer(st.ns, ev.Writer)
		sw.most = max(sw.most, ev.Seq)
	}
	return true, nil
}

// cutTables ends the table that is being written, so that all can be read, and
// returns them, in order.
func (st *stage) cutTables() ([]table, error) {
	if st.tables.tableWriter == nil {
		return nil, nil
	}
	err := st.tables.cut()
	return st.tables.tables, err
}

// take opens a table of the stage for one that reads it. It is given back.
func (st *stage) take(at table) (*pebble.Iterator, error) {
	t := &st.tables
	if it := t.open; it != nil {
		t.open = nil
		if t.openPath == at.path {
			return it, nil
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
	}
	f, err := t.engine.FS.Open(at.path, vfs.RandomReadsOption)
	if err != nil {
		return nil, err
	}
	it, err := pebble.NewExternalIter(runOptions(), nil, [][]sstable.ReadableFile{{f}})
	return it, readError(err)
}

// give gives back what take has opened.
func (st *stage) give(at table, it *pebble.Iterator) error {
	t := &st.tables
	before := t.open
	t.open, t.openPath = it, at.path
	if before == nil {
		return nil
	}
	return before.Close()
}

// removeTables frees their disk, but for what was ingested.
func (st *stage) removeTables() (err error) {
	t := &st.tables
	if t.open != nil {
		err = t.open.Close()
		t.open = nil
	}
	if t.tableWriter != nil {
		err = errors.Join(err, t.remove())
	}
	return err
}

// holdsInTable reports whether the tables hold a record.
func (st *stage) holdsInTable(k []byte) (bool, error) {
	if st.tables.tableWriter == nil || crdt.Key(k) > st.tables.last {
		return false, nil
	}
	tables, err := st.cutTables()
	if err != nil {
		return false, err
	}
	at, ok := around(tables, crdt.Key(k))
	if !ok {
		return false, nil
	}
	it, err := st.take(at)
	if err != nil {
		return false, err
	}
	key := st.ns.records.record(nil, crdt.Key(k))
	found := it.SeekGE(key) && bytes.Equal(it.Key(), key)
	return found, errors.Join(readError(it.Error()), st.give(at, it))
}

// around returns the one of tables, which are in order, whose records are around
// a key.
func around(tables []table, k crdt.Key) (table, bool) {
	i, _ := slices.BinarySearchFunc(tables, k, func(t table, k crdt.Key) int { return cmp.Compare(t.last, k) })
	if i == len(tables) || tables[i].first > k {
		return table{}, false
	}
	return tables[i], true
}

// admitTables checks what all records of the tables are, as apply.admit does one
// record of a delta.
func (a *apply) admitTables(st *stage) error {
	for _, sw := range st.tables.inOrder() {
		w := a.writer(sw.id)
		if w == nil || sw.most > w.to {
			return fmt.Errorf("%w: event %s:%d is not covered by the delta's vector", crdt.ErrDelta, sw.id, sw.most)
		}
		if sw.most > w.own && sw.time > a.latest {
			a.latest, a.latestNode = sw.time, w.node
		}
	}
	a.done.Records = st.count
	return nil
}

// inOrder returns the writers, ordered by their numbers.
func (t *stageTables) inOrder() []*stagedWriter {
	all := make([]*stagedWriter, 0, len(t.writers))
	for _, sw := range t.writers {
		all = append(all, sw)
	}
	slices.SortFunc(all, func(a, b *stagedWriter) int { return cmp.Compare(a.number, b.number) })
	return all
}
