package crdt

import (
	"bytes"
	"fmt"
	"slices"
)

// The form of a whole delta, for those who keep or move deltas themselves
// (the sync protocol streams them in frames of its own):
//
//	delta   = array(5) from to writers table entries
//	from    = vector
//	to      = vector
//	writers = array of writer records
//	table   = array of the ids of all writers of events, in order
//	entries = array(2n) of key and record in turn, in key order
//
// Events name their writers by place in the table. There is one encoding of a
// delta: ReadDelta refuses every other.
const deltaFields = 5

// AppendDelta appends d's canonical encoding.
func AppendDelta(dst []byte, d Delta) []byte {
	dst = AppendArray(dst, deltaFields)
	dst = AppendVector(dst, d.From)
	dst = AppendVector(dst, d.To)
	dst = AppendArray(dst, len(d.Writers))
	for _, rec := range d.Writers {
		dst = AppendWriterRecord(dst, rec)
	}
	table := d.table()
	dst = AppendArray(dst, len(table))
	for _, w := range table {
		dst = AppendBytes(dst, w[:])
	}
	index := func(w WriterID) uint64 {
		i, _ := slices.BinarySearchFunc(table, w, WriterID.Compare)
		return uint64(i)
	}
	dst = AppendArray(dst, 2*len(d.Entries))
	for _, e := range d.Entries {
		dst = AppendBytes(dst, []byte(e.Key))
		dst = AppendRecord(dst, e.Record, index)
	}
	return dst
}

// table returns the writers of d's events, in order.
func (d *Delta) table() []WriterID {
	var ws []WriterID
	for _, e := range d.Entries {
		for i := range e.Record {
			ws = append(ws, e.Record[i].Writer)
		}
	}
	slices.SortFunc(ws, WriterID.Compare)
	return slices.Compact(ws)
}

// ReadDelta reads what AppendDelta wrote, and nothing else. The values of d
// alias b. The error wraps ErrDelta. What d says is Merge's to check.
func ReadDelta(b []byte) (d Delta, err error) {
	r := NewReader(b)
	if n := r.Array(deltaFields); r.Err() == nil && n != deltaFields {
		r.Fail(fmt.Sprintf("delta of %d fields, want %d", n, deltaFields))
	}
	d.From, d.To = ReadVector(r), ReadVector(r)
	for n := r.Array(MaxVectorEntries); len(d.Writers) < n && r.Err() == nil; {
		rec := ReadWriterRecord(r)
		d.Writers = append(d.Writers, &rec)
	}
	var table []WriterID
	for n := r.Array(MaxVectorEntries); len(table) < n && r.Err() == nil; {
		table = append(table, r.Writer())
	}
	writer := func(i uint64) (w WriterID, ok bool) {
		if i >= uint64(len(table)) {
			return w, false
		}
		return table[i], true
	}
	for n := r.Array(2 * MaxDeltaEntries); 2*len(d.Entries) < n && r.Err() == nil; {
		k := Key(r.Bytes(MaxKeyBytes))
		d.Entries = append(d.Entries, Entry{k, ReadRecord(r, writer)})
	}
	err = r.Done()
	if err == nil && !bytes.Equal(AppendDelta(make([]byte, 0, len(b)), d), b) {
		err = fmt.Errorf("not in canonical form")
	}
	if err != nil {
		return Delta{}, fmt.Errorf("%w: %w", ErrDelta, err)
	}
	return d, nil
}
