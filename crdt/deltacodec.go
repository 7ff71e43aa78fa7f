package crdt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The form of a whole delta, for those who keep or move deltas themselves
// (the sync protocol streams them in frames of its own):
//
//	delta   = version head blocks *block
//	version = 2, a byte. Version 1 (deltarows.go) begins with another
//	head    = the ids of writers, the vectors, the writer records (deltahead.go)
//	blocks  = how many there are, as uvarint: a delta that is cut is none
//	block   = count n *place columns
//	count   = how many entries there are, as uvarint
//	n       = how many writers their events name, as uvarint
//	place   = of each, in the order in which events name them first, that of its
//	          id in head, as uvarint
//	columns = the entries in Columns, which begin with the seqs in To, and when
//	          the last writer in head started
//
// A block ends where one entry more would unfold to too much, or with the delta.
// There is one encoding of a delta in a version. Version 1 is still read. It is
// written where version 2 cannot say what is in a delta, which keeps no rules
// then: a writer that is introduced twice, a key without events, a record with
// more events than it takes bytes.
const deltaVersion = 2

// AppendDelta appends d's canonical encoding.
func AppendDelta(dst []byte, d Delta) []byte {
	w := blockWriter{d: &d}
	if !w.head.name(&d) || !w.write() {
		return appendDeltaRows(dst, &d)
	}
	dst = w.appendHead(dst)
	dst = append(dst, w.whole...)
	if w.count == 0 {
		return dst
	}
	dst = w.appendTable(slices.Grow(dst, w.columns.Size()+256))
	return w.columns.AppendTo(dst)
}

// blockWriter writes the entries of a delta in blocks.
type blockWriter struct {
	d      *Delta
	head   deltaHead
	blocks int
	whole  []byte // blocks that ended

	// The last block.
	count   int
	table   WriterTable
	columns Columns
	at      int // where they were read
}

// write writes the entries; ok is false if they cannot be in columns.
func (w *blockWriter) write() (ok bool) {
	w.columns.begin(w.d.To, w.d.lastStart())
	w.columns.grow(w.d.Entries)
	for i := range w.d.Entries {
		e := &w.d.Entries[i]
		if len(e.Record) == 0 {
			return false
		}
		if w.count > 0 && w.columns.Unfold(e.Key, len(e.Record)) {
			w.whole = w.appendTable(w.whole)
			w.whole = w.columns.AppendTo(w.whole)
			w.table.Reset()
			w.count = 0
		}
		w.columns.Add(e.Key, e.Record, w.table.Place)
		if w.count++; w.count > 1 {
			continue
		}
		if w.blocks++; w.columns.unfolded() {
			return false
		}
	}
	for _, id := range w.table.Writers() {
		w.head.ids.Place(id)
	}
	return true
}

// appendHead appends what comes before the blocks.
func (w *blockWriter) appendHead(dst []byte) []byte {
	dst = w.head.appendTo(append(dst, deltaVersion), w.d)
	return binary.AppendUvarint(dst, uint64(w.blocks))
}

// appendTable appends what comes before the columns of the last block.
func (w *blockWriter) appendTable(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(w.count))
	dst = binary.AppendUvarint(dst, uint64(len(w.table.Writers())))
	for _, id := range w.table.Writers() {
		dst = binary.AppendUvarint(dst, w.head.ids.Place(id))
	}
	return dst
}

// lastStart returns when the last of d's writers started, or 0.
func (d *Delta) lastStart() Timestamp {
	if len(d.Writers) == 0 {
		return 0
	}
	return d.Writers[len(d.Writers)-1].Started
}

// ReadDelta reads what AppendDelta wrote, or that of an earlier release, and
// nothing else. The values of d alias b, or memory of their own. The error wraps
// ErrDelta. What d says is Merge's to check.
func ReadDelta(b []byte) (d Delta, err error) {
	r, canonical := NewReader(b), false
	if len(b) > 0 && b[0] == deltaVersion {
		r.take(1)
		d, canonical = readDeltaColumns(r)
	} else {
		d = readDeltaRows(r)
		canonical = r.Err() == nil && bytes.Equal(appendDeltaRows(make([]byte, 0, len(b)), &d), b)
	}
	if err = r.Done(); err == nil && !canonical {
		err = errors.New("not in canonical form")
	}
	if err != nil {
		return Delta{}, fmt.Errorf("%w: %w", ErrDelta, err)
	}
	return d, nil
}

// readDeltaColumns reads what follows the version, and whether that is the one
// encoding of it.
func readDeltaColumns(r *Reader) (d Delta, canonical bool) {
	ids := readDeltaHead(r, &d)
	w := blockWriter{d: &d}
	plain := true
	for blocks := r.uvarint(); blocks > 0 && r.Err() == nil; blocks-- {
		plain = w.readBlock(r, ids) && plain
	}
	switch {
	case r.Err() != nil || !w.head.name(&d):
		return d, false
	case plain && w.blocks < 2:
		// The entries have one encoding in columns, and they are where they are to
		// be: what comes before them is left.
		for _, id := range w.table.Writers() {
			w.head.ids.Place(id)
		}
		head := w.appendHead(make([]byte, 0, w.at))
		if w.blocks > 0 {
			head = w.appendTable(head)
		} else {
			w.at = r.pos
		}
		return d, bytes.Equal(r.buf[:w.at], head)
	}
	return d, bytes.Equal(AppendDelta(make([]byte, 0, len(r.buf)), d), r.buf)
}

// readBlock reads a block, and reports whether it ends where it was to end.
func (w *blockWriter) readBlock(r *Reader, ids []WriterID) (plain bool) {
	count, n := r.uvarint(), r.uvarint()
	if n > uint64(len(ids)) {
		r.Fail(fmt.Sprintf("events of %d writers, of %d", n, len(ids)))
		return false
	}
	w.table.Reset()
	for i := range n {
		place := r.uvarint()
		if place >= uint64(len(ids)) || w.table.Place(ids[place]) < i {
			r.Fail(fmt.Sprintf("writer %d, of %d, or for the second time", place, len(ids)))
			return false
		}
	}
	w.blocks, w.count, w.at = w.blocks+1, int(count), r.pos
	c := newColumnsReader(r, count, w.table.Writers(), w.d.To, w.d.lastStart())
	if r.Err() == nil && len(w.d.Entries)+c.Left() > MaxDeltaEntries {
		r.Fail("more entries than are allowed")
	}
	if r.Err() != nil {
		return false
	}
	w.d.Entries = slices.Grow(w.d.Entries, c.Left())
	for e, ok := c.Next(); ok; e, ok = c.Next() {
		w.d.Entries = append(w.d.Entries, e)
	}
	return !c.close
}
