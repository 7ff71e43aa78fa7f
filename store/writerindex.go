package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// The index of writers is what crdt.Lineage holds of the writer records, in
// blocks of indexBlock writers, so that Open reads a block in their place. The
// writers in it have places: the first to have a number, in the order of the
// numbers, is at 0; block k is of those from k*indexBlock on.
//
//	+----+---------------------+--------------------------------+- - -
//	| 01 | bin: the ids of all | of each: skipped, parents, ... |
//	+----+---------------------+--------------------------------+- - -
//	                             |        |
//	                             |        their count, then for each: how many
//	                             |        places before the writer's it is, and
//	                             |        up to which seq it is covered; if
//	                             |        there are none: bin, the node
//	                             numbers before the writer's that nobody has
//
// It is derived from the records, and says nothing that they do not. Open
// writes the blocks that are full, behind the records in Pebble's log, so it may
// be behind them, by less than a block after an Open that could write, and is
// never ahead. A block never changes: at Open no number is on its way to disk,
// and later ones are greater. Check compares it with the records.
const (
	indexFormat = 1
	// indexBlock is how many writers are in a block: 10,000 are then in 39
	// blocks of 6 KiB, and reading the records of the last 255 takes a tenth
	// of opening the store.
	indexBlock = 1 << 8
)

// appendIndexBlock appends block k, whose writers are known and have numbers.
func (l *lineage) appendIndexBlock(dst []byte, k int) []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	first := k * indexBlock
	ws := make([]crdt.Placed, indexBlock)
	ids := make([]byte, 0, indexBlock*len(crdt.WriterID{}))
	for i := range ws {
		ws[i] = l.known.Placed(first + i)
		ids = append(ids, ws[i].Writer[:]...)
	}
	dst = crdt.AppendBytes(append(dst, indexFormat), ids)
	var last uint32 // the number before, and 1 more
	if first > 0 {
		last = l.numbers[first-1]
	}
	for i, w := range ws {
		n := l.numbers[first+i]
		dst = crdt.AppendUint(dst, uint64(n-last-1))
		last = n
		dst = crdt.AppendUint(dst, uint64(len(w.Parents)))
		for _, p := range w.Parents {
			dst = crdt.AppendUint(dst, uint64(first+i)-uint64(p.Place))
			dst = crdt.AppendUint(dst, p.Seq)
		}
		if len(w.Parents) == 0 {
			dst = crdt.AppendBytes(dst, w.Node[:])
		}
	}
	return dst
}

// indexReader reads blocks of an index, one after the other.
type indexReader struct {
	built   crdt.LineageBuilder
	numbers []uint32 // and 1 more
	table   []crdt.WriterID
	parents []crdt.PlacedParent
}

// grow makes room for n writers: to move them as they grow took half of the
// time.
func (x *indexReader) grow(n int) {
	x.built.Grow(n)
	x.numbers = slices.Grow(x.numbers, n)
	x.table = slices.Grow(x.table, n)
}

// read reads the next block.
func (x *indexReader) read(block []byte) error {
	if len(block) == 0 || block[0] != indexFormat {
		return errFormat(block)
	}
	const idLen = len(crdt.WriterID{})
	r := crdt.NewReader(block[1:])
	ids := r.Bytes(indexBlock * idLen)
	if len(ids) != indexBlock*idLen {
		r.Fail(fmt.Sprintf("ids of %d bytes, want %d", len(ids), indexBlock*idLen)) // the first failure counts
		return r.Done()
	}
	for ; len(ids) > 0; ids = ids[idLen:] {
		w := crdt.Placed{Writer: crdt.WriterID(ids[:idLen])}
		skipped := x.readSkipped(r)
		if w.Parents = x.readParents(r); len(w.Parents) == 0 {
			w.Node = r.Node()
		}
		if r.Err() != nil {
			break
		}
		if err := x.built.Add(&w); err != nil {
			return err
		}
		x.table = append(append(x.table, make([]crdt.WriterID, skipped)...), w.Writer)
		x.numbers = append(x.numbers, uint32(len(x.table)))
	}
	return r.Done()
}

// readSkipped reads how many numbers nobody has before the next writer's.
func (x *indexReader) readSkipped(r *crdt.Reader) int {
	n := r.Uint()
	if n > maxLearned {
		r.Fail(fmt.Sprintf("%d numbers are skipped, at most %d are", n, maxLearned))
		return 0
	}
	return int(n)
}

// readParents reads the parents of the next writer; they are valid until the
// next call.
func (x *indexReader) readParents(r *crdt.Reader) []crdt.PlacedParent {
	n, place := r.Uint(), uint64(len(x.numbers))
	if n > crdt.MaxParents {
		r.Fail(fmt.Sprintf("%d parents, at most %d are allowed", n, crdt.MaxParents))
	}
	x.parents = x.parents[:0]
	for ; n > 0 && r.Err() == nil; n-- {
		back, seq := r.Uint(), r.Uint()
		if back > place || seq == 0 {
			r.Fail(fmt.Sprintf("the writer at %d has a parent %d before it, up to %d", place, back, seq))
		}
		x.parents = append(x.parents, crdt.PlacedParent{Place: uint32(place - back), Seq: seq})
	}
	return x.parents
}

// scanIndex calls fn with each block of an index, and with how many there are
// by the key of the last.
func scanIndex(r pebble.Reader, p prefix, fn func(k, of int, block []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: p[:], UpperBound: p.end()})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	of := 0
	if it.Last() {
		last, _ := splitIndexed(it.Key())
		of = int(last) + 1
	}
	k := 0
	for ok := it.First(); ok; ok = it.Next() {
		if !bytes.Equal(it.Key(), p.indexed(nil, uint32(k))) {
			return fmt.Errorf("%w: key %x of the index of writers, want that of block %d", ErrDamaged, it.Key(), k)
		}
		if err := fn(k, of, it.Value()); err != nil {
			return fmt.Errorf("%w: block %d of the index of writers: %w", ErrDamaged, k, err)
		}
		k++
	}
	return readError(it.Error())
}

// loadIndex reads the writers that are in the index.
func (l *lineage) loadIndex(r pebble.Reader, p prefix) (err error) {
	var x indexReader
	err = scanIndex(r, p, func(k, of int, block []byte) error {
		if k == 0 {
			x.grow(min(of, maxLearned/indexBlock) * indexBlock) // damage may say any number
		}
		return x.read(block)
	})
	if err != nil {
		return err
	}
	if l.known, err = x.built.Lineage(&l.guard); err != nil {
		return fmt.Errorf("%w: the index of writers: %w", ErrDamaged, err)
	}
	l.numbers, l.indexed = x.numbers, len(x.numbers)/indexBlock
	l.table.Store(&x.table)
	return nil
}

// indexWriters writes the blocks that the index lacks. What is not written now,
// since the disk is full, or the engine halted or open for reading alone, is by
// a later Open.
func (ns *Namespace) indexWriters() error {
	l, e := &ns.lineage, ns.store.engine
	full := len(l.numbers) / indexBlock
	for l.indexed < full && e.health() == nil {
		b := e.DB.NewBatch()
		k := l.indexed
		for ; k < full && b.Len() < stageBatchBytes; k++ {
			if err := b.Set(ns.index.indexed(nil, uint32(k)), l.appendIndexBlock(nil, k), nil); err != nil {
				return errors.Join(err, b.Close())
			}
		}
		err := e.apply(b, false)
		b.Close() // cannot fail once it was applied
		if err != nil {
			return nil // a fault, which the next write returns
		}
		l.indexed = k
	}
	return nil
}
