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

// lineage is the writers of a namespace and the numbers that stand for them on
// disk. A record is learned first, in memory; its writer gets a number, and it
// is saved, with the first batch that covers something of the writer. From
// then on it is read from disk: it is asked for when a peer is to learn it.
// Safe for concurrent use.
type lineage struct {
	guard sync.RWMutex // of known, which takes it for itself; after mu
	known *crdt.Lineage

	mu      sync.RWMutex
	numbers []uint32                             // by place in known, and 1 more; 0: none
	pending map[crdt.WriterID]*crdt.WriterRecord // learned, and not on disk

	// table is numbers, the other way round; a zero id is a gap. It only
	// grows, so that readers of older tables read right.
	table atomic.Pointer[[]crdt.WriterID]

	indexed int // blocks of the index; it grows when the namespace is opened
}

// load reads what is saved: what is in the index from there, the others from
// their records.
func (l *lineage) load(r pebble.Reader, records, index prefix) error {
	l.pending = map[crdt.WriterID]*crdt.WriterRecord{}
	if err := l.loadIndex(r, index); err != nil {
		return err
	}
	return l.loadRecords(r, records)
}

// loadRecords reads the records behind those that are in the index.
func (l *lineage) loadRecords(r pebble.Reader, p prefix) error {
	table := *l.table.Load()
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: p.indexed(nil, uint32(len(table))), UpperBound: p.end()})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n, known := splitIndexed(it.Key())
		if !known || int(n) < len(table) || int(n) > len(table)+maxLearned {
			return fmt.Errorf("%w: key of a writer record %x", ErrDamaged, it.Key())
		}
		rec, err := readWriterRecord(it.Value())
		if err == nil {
			err = l.known.Add(rec)
		}
		if err == nil && l.known.Len() != len(l.numbers)+1 {
			err = fmt.Errorf("writer %s has two numbers", rec.Writer)
		}
		if err != nil {
			return fmt.Errorf("%w: record of writer %d: %w", ErrDamaged, n, err)
		}
		table = append(table, make([]crdt.WriterID, int(n)-len(table)+1)...)
		table[n] = rec.Writer
		l.numbers = append(l.numbers, n+1)
	}
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
	at := l.known.Index(w)
	l.mu.RLock()
	defer l.mu.RUnlock()
	if at < 0 || at >= len(l.numbers) || l.numbers[at] == 0 {
		return 0, false
	}
	return l.numbers[at] - 1, true
}

// learn takes records, each after its parents.
func (l *lineage) learn(recs []*crdt.WriterRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rec := range recs {
		if l.known.Has(rec.Writer) {
			if old := l.pending[rec.Writer]; old != nil && !old.Equal(rec) {
				return errSecondRecord(rec)
			}
			continue // Namespace.Learn compared it with what is on disk
		}
		if len(l.pending) >= maxLearned {
			return fmt.Errorf("%w: %d wait for a delta", ErrTooManyWriters, len(l.pending))
		}
		if err := l.known.Add(rec); err != nil {
			return err
		}
		l.pending[rec.Writer] = rec
	}
	return nil
}

func errSecondRecord(rec *crdt.WriterRecord) error {
	return fmt.Errorf("%w: a second record for writer %s", crdt.ErrWriterRecord, rec.Writer)
}

// begin adds this store's own new writer and numbers it. Its record goes to
// disk at once.
func (l *lineage) begin(rec *crdt.WriterRecord) (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.known.Add(rec); err != nil {
		return 0, err
	}
	return l.assign(rec.Writer), nil
}

// assign numbers a writer that is known. The caller holds mu.
func (l *lineage) assign(w crdt.WriterID) uint32 {
	at := l.known.Index(w)
	if n := at + 1 - len(l.numbers); n > 0 {
		l.numbers = append(l.numbers, make([]uint32, n)...)
	}
	if l.numbers[at] == 0 {
		table := append(*l.table.Load(), w)
		l.table.Store(&table)
		l.numbers[at] = uint32(len(table))
	}
	return l.numbers[at] - 1
}

// foresee returns the number of a writer that is known. If it has none, all that
// wait to be saved get theirs, ancestors first, as if they were introduced: what
// is staged names them. A number that is not saved is a gap.
func (l *lineage) foresee(w crdt.WriterID) (uint32, bool) {
	if n, ok := l.number(w); ok {
		return n, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending[w] == nil {
		return 0, false
	}
	waiting := make([]crdt.WriterID, 0, len(l.pending))
	for w := range l.pending {
		waiting = append(waiting, w)
	}
	slices.SortFunc(waiting, func(a, b crdt.WriterID) int { return cmp.Compare(l.known.Index(a), l.known.Index(b)) })
	for _, w := range waiting {
		l.assign(w)
	}
	return l.assign(w), true
}

// introduce numbers the writers that v covers and since, the namespace's
// vector, does not, and returns their records, ordered by number: a batch that
// makes v part of the vector has to save them. All are known.
func (l *lineage) introduce(v, since *crdt.Past) []*crdt.WriterRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	var recs []*crdt.WriterRecord
	for _, w := range v.Since(since) {
		l.assign(w)
		if rec := l.pending[w]; rec != nil {
			recs = append(recs, rec)
		}
	}
	slices.SortFunc(recs, func(a, b *crdt.WriterRecord) int { return cmp.Compare(l.assign(a.Writer), l.assign(b.Writer)) })
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

// noteSaved notes that records are in Pebble.
func (l *lineage) noteSaved(recs []*crdt.WriterRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rec := range recs {
		delete(l.pending, rec.Writer)
	}
}

// Past returns all that v covers and implies.
func (ns *Namespace) Past(v crdt.Vector) *crdt.Past { return ns.lineage.known.Past(v) }

// Unknown returns the writers of v that have no record here, ordered.
func (ns *Namespace) Unknown(v crdt.Vector) []crdt.WriterID { return ns.lineage.known.Unknown(v) }

// WriterRecord returns the record of w, or nil. It must not be modified.
// Errors wrap ErrDamaged or ErrClosed, or are the filesystem's.
func (ns *Namespace) WriterRecord(w crdt.WriterID) (*crdt.WriterRecord, error) {
	if err := ns.store.use(); err != nil {
		return nil, ns.named("read a writer of", err)
	}
	defer ns.store.users.Done()
	return ns.writerRecord(w)
}

// writerRecord is WriterRecord for calls that Close waits for.
func (ns *Namespace) writerRecord(w crdt.WriterID) (*crdt.WriterRecord, error) {
	ns.lineage.mu.RLock()
	rec := ns.lineage.pending[w]
	ns.lineage.mu.RUnlock()
	n, ok := ns.lineage.number(w)
	if rec != nil || !ok {
		return rec, nil
	}
	value, closer, err := ns.store.engine.DB.Get(ns.writers.indexed(nil, n))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil // of a first commit that failed
	}
	if err != nil {
		return nil, ns.named("read a writer of", readError(err))
	}
	defer closer.Close()
	if rec, err = readWriterRecord(value); err != nil {
		return nil, ns.named("read a writer of", fmt.Errorf("%w: record of writer %d: %w", ErrDamaged, n, err))
	}
	return rec, nil
}

// WriterRecords returns the records of writers that are known, in their order.
// They must not be modified. Errors are those of WriterRecord; ErrNoNamespace or
// ErrClosed where the namespace went meanwhile, and its records with it.
func (ns *Namespace) WriterRecords(ws []crdt.WriterID) ([]*crdt.WriterRecord, error) {
	recs := make([]*crdt.WriterRecord, len(ws))
	for i, w := range ws {
		rec, err := ns.WriterRecord(w)
		if err == nil && rec == nil {
			if gone := ns.ended(); gone != nil {
				return nil, gone
			}
			err = ns.named("read a writer of", fmt.Errorf("%w: %s has no record", ErrDamaged, w))
		}
		if err != nil {
			return nil, err
		}
		recs[i] = rec
	}
	return recs, nil
}

// NodeOf returns the node that w is a run of. This run's own writer is known
// also before its first commit.
func (ns *Namespace) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) {
	node, ok := ns.lineage.known.Node(w)
	if !ok && w == ns.Writer() {
		return ns.store.options.Node, true
	}
	return node, ok
}

// Learn takes writer records that a peer sent, each after its parents, and
// verifies their signatures. They stay in memory until an apply that covers
// them saves them. Records before one that is refused are kept. Errors wrap
// crdt.ErrWriterRecord or ErrTooManyWriters, or are those of WriterRecord.
func (ns *Namespace) Learn(recs []*crdt.WriterRecord) error {
	for i, rec := range recs {
		if err := ns.verify(rec); err != nil {
			return errors.Join(err, ns.lineage.learn(recs[:i]))
		}
	}
	return ns.lineage.learn(recs)
}

func (ns *Namespace) verify(rec *crdt.WriterRecord) error {
	known, err := ns.WriterRecord(rec.Writer)
	switch {
	case err != nil:
		return err
	case known != nil && known.Equal(rec):
		return nil
	case known != nil:
		return errSecondRecord(rec)
	case rec.Namespace != ns.name:
		return fmt.Errorf("%w: writer %s is one of namespace %q, not of %q",
			crdt.ErrWriterRecord, rec.Writer, rec.Namespace, ns.name)
	}
	return rec.Verify()
}
