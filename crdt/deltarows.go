package crdt

import (
	"fmt"
	"slices"
)

// Version 1 of a delta, the first release's, is in rows:
//
//	delta   = array(5) from to writers table entries
//	from    = vector
//	to      = vector
//	writers = array of writer records
//	table   = array of the ids of all writers of events, in order
//	entries = array(2n) of key and record in turn, in key order
//
// Events name their writers by place in the table.
const deltaFields = 5

// appendDeltaRows appends d in version 1.
func appendDeltaRows(dst []byte, d *Delta) []byte {
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

// readDeltaRows reads what appendDeltaRows wrote.
func readDeltaRows(r *Reader) (d Delta) {
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
	return d
}
