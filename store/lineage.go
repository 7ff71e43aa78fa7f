package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// ErrTooManyWriters says that more writer records were learned than a delta
// may bring at a time. Those before are kept.
var ErrTooManyWriters = errors.New("too many writer records at a time")

// lineage is the writer records of a namespace and the numbers that stand for
// writers on disk. A record is learned first, in memory; it gets its number,
// and is saved, with the first batch that covers something of its writer.
// Safe for concurrent use.
type lineage struct {
	mu      sync.RWMutex
	records crdt.Lineage
	numbers map[crdt.WriterID]uint32
	saved   int // how many of the records are on disk

	// table is numbers, the other way round; a zero id is a gap. It only
	// grows, so that readers of older tables read right.
	table atomic.Pointer[[]crdt.WriterID]
}

// load reads what is saved.
func (l *lineage) load(r pebble.Reader, p prefix) error {
	l.numbers = map[crdt.WriterID]uint32{}
	l.table.Store(new([]crdt.WriterID))
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: p[:], UpperBound: p.end()})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	var table []crdt.WriterID
	for ok := it.First(); ok; ok = it.Next() {
		n, known := splitIndexed(it.Key())
		if !known || int(n) < len(table) || int(n) > len(table)+maxLearned {
			return fmt.Errorf("%w: key of a writer record %x", ErrDamaged, it.Key())
		}
		rec, err := readWriterRecord(it.Value())
		if err == nil {
			err = l.records.Add(rec)
		}
		if err != nil {
			return fmt.Errorf("%w: record of writer %d: %w", ErrDamaged, n, err)
		}
		table = append(table, make([]crdt.WriterID, int(n)-len(table)+1)...)
		table[n] = rec.Writer
		l.numbers[rec.Writer] = n
	}
	l.saved = l.records.Len()
	l.table.Store(&table)
	return readError(it.Error())
}

// writer returns the writer with a number.
func (l *lineage) writer(n uint64) (crdt.WriterID, bool) {
	table := *l.table.Load()
	if n >= uint64(len(table)) || table[n] == (crdt.WriterID{}) {
		return crdt.WriterID{}, false
	}
	return table[n], true
}

// number returns the number of a writer that has one.
func (l *lineage) number(w crdt.WriterID) (uint32, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n, ok := l.numbers[w]
	return n, ok
}

// learn takes records, each after its parents.
func (l *lineage) learn(recs []*crdt.WriterRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rec := range recs {
		if waiting := l.records.Len() - l.saved; waiting >= maxLearned && l.records.Get(rec.Writer) == nil {
			return fmt.Errorf("%w: %d wait for a delta", ErrTooManyWriters, waiting)
		}
		if err := l.records.Add(rec); err != nil {
			return err
		}
	}
	return nil
}

// begin adds this store's own new writer and numbers it.
func (l *lineage) begin(rec *crdt.WriterRecord) (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.records.Add(rec); err != nil {
		return 0, err
	}
	return l.assign(rec.Writer), nil
}

// assign numbers a writer. The caller holds mu.
func (l *lineage) assign(w crdt.WriterID) uint32 {
	if n, ok := l.numbers[w]; ok {
		return n
	}
	table := *l.table.Load()
	n := uint32(len(table))
	table = append(table, w)
	l.table.Store(&table)
	l.numbers[w] = n
	return n
}

// introduce numbers the writers that v covers and since, the namespace's
// vector, does not, and returns their records, ordered by number: a batch that
// makes v part of the vector has to save them. All are known.
func (l *lineage) introduce(v, since crdt.Vector) []*crdt.WriterRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	recs := l.records.Since(v, since)
	for _, rec := range recs {
		l.assign(rec.Writer)
	}
	slices.SortFunc(recs, func(a, b *crdt.WriterRecord) int {
		return cmp.Compare(l.numbers[a.Writer], l.numbers[b.Writer])
	})
	return recs
}

// save puts records into a batch or a table.
func (l *lineage) save(recs []*crdt.WriterRecord, p prefix, put putter) error {
	for _, rec := range recs {
		n, _ := l.number(rec.Writer)
		if err := put(p.indexed(nil, n), appendWriterRecord(nil, rec)); err != nil {
			return err
		}
	}
	return nil
}

// noteSaved notes that n more records are on their way to disk.
func (l *lineage) noteSaved(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saved += n
}

// Expand returns v with an entry for every ancestor that its entries imply.
func (ns *Namespace) Expand(v crdt.Vector) crdt.Vector {
	ns.lineage.mu.RLock()
	defer ns.lineage.mu.RUnlock()
	return ns.lineage.records.Expand(v)
}

// Normalize returns the normal form of an expanded vector.
func (ns *Namespace) Normalize(v crdt.Vector) crdt.Vector {
	ns.lineage.mu.RLock()
	defer ns.lineage.mu.RUnlock()
	return ns.lineage.records.Normalize(v)
}

// Since returns the records of the writers that v covers and since does not,
// parents before children. Both are expanded. The records must not be
// modified.
func (ns *Namespace) Since(v, since crdt.Vector) []*crdt.WriterRecord {
	ns.lineage.mu.RLock()
	defer ns.lineage.mu.RUnlock()
	return ns.lineage.records.Since(v, since)
}

// Unknown returns the writers of v that have no record here, ordered.
func (ns *Namespace) Unknown(v crdt.Vector) []crdt.WriterID {
	ns.lineage.mu.RLock()
	defer ns.lineage.mu.RUnlock()
	return ns.lineage.records.Unknown(v)
}

// WriterRecord returns the record of w, or nil. It must not be modified.
func (ns *Namespace) WriterRecord(w crdt.WriterID) *crdt.WriterRecord {
	ns.lineage.mu.RLock()
	defer ns.lineage.mu.RUnlock()
	return ns.lineage.records.Get(w)
}

// NodeOf returns the node that w is a run of. This run's own writer is known
// also before its first commit.
func (ns *Namespace) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) {
	ns.lineage.mu.RLock()
	node, ok := ns.lineage.records.Node(w)
	ns.lineage.mu.RUnlock()
	if !ok && w == ns.Writer() {
		return ns.store.options.Node, true
	}
	return node, ok
}

// Learn takes writer records that a peer sent, each after its parents, and
// verifies their signatures. They stay in memory until an apply that covers
// them saves them. Records before one that is refused are kept. Errors wrap
// crdt.ErrWriterRecord or ErrTooManyWriters.
func (ns *Namespace) Learn(recs []*crdt.WriterRecord) error {
	for i, rec := range recs {
		if err := ns.verify(rec); err != nil {
			return errors.Join(err, ns.lineage.learn(recs[:i]))
		}
	}
	return ns.lineage.learn(recs)
}

func (ns *Namespace) verify(rec *crdt.WriterRecord) error {
	if known := ns.WriterRecord(rec.Writer); known != nil && known.Equal(rec) {
		return nil
	}
	if rec.Namespace != ns.name {
		return fmt.Errorf("%w: writer %s is one of namespace %q, not of %q",
			crdt.ErrWriterRecord, rec.Writer, rec.Namespace, ns.name)
	}
	return rec.Verify()
}
