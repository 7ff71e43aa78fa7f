package protocol

import (
	"fmt"
	"iter"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// DeltaDecoder takes the Bodies of the Apply effects of one delta, in order,
// and puts records together that were split. The zero value is ready. What it
// returns aliases the bodies. Not safe for concurrent use.
type DeltaDecoder struct {
	held  crdt.Entry // may go on in the next entry
	bytes int        // of held's values
	table []crdt.WriterID
}

// Add yields the records that are complete after body. After an error, which
// wraps ErrMalformed, the delta is to be thrown away.
func (d *DeltaDecoder) Add(body []byte) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		r := crdt.NewReader(body)
		d.readTable(r)
		n := r.Array(maxRecordsPerFrame)
		if n%2 != 0 {
			r.Fail("a key without its record")
		}
		for i := 0; i < n/2 && r.Err() == nil; i++ {
			e := d.readEntry(r)
			if r.Err() != nil {
				break
			}
			if done, ok := d.take(r, e); ok && !yield(done, nil) {
				return
			}
		}
		if err := r.Done(); err != nil {
			yield(crdt.Entry{}, fmt.Errorf("%w: Delta: %w", ErrMalformed, err))
		}
	}
}

// Rest returns the record that was held back since the next frame could have
// had more of it. It is due after the last frame; ok is false if there is none.
func (d *DeltaDecoder) Rest() (e crdt.Entry, ok bool) {
	e = d.held
	*d = DeltaDecoder{}
	return e, len(e.Record) > 0
}

// maxRecordsPerFrame bounds keys and records in one frame, two elements each;
// an entry takes 8 bytes at least.
const maxRecordsPerFrame = MaxFrameBytes / 4

func (d *DeltaDecoder) readTable(r *crdt.Reader) {
	n := r.Array(MaxWritersPerFrame)
	d.table = d.table[:0]
	for range n {
		d.table = append(d.table, r.Writer())
	}
}

func (d *DeltaDecoder) readEntry(r *crdt.Reader) (e crdt.Entry) {
	e.Key = crdt.Key(r.String(crdt.MaxKeyBytes))
	if r.Err() == nil {
		if err := e.Key.Validate(); err != nil {
			r.Fail(err.Error())
		}
	}
	e.Record = crdt.ReadRecord(r, func(i uint64) (w crdt.WriterID, ok bool) {
		if i >= uint64(len(d.table)) {
			return w, false
		}
		return d.table[i], true
	})
	if r.Err() == nil && len(e.Record) == 0 {
		r.Fail("a record without events")
	}
	return e
}

// take holds e back, and returns what was held before if that is complete.
func (d *DeltaDecoder) take(r *crdt.Reader, e crdt.Entry) (done crdt.Entry, ok bool) {
	size := 0
	for i := range e.Record {
		size += len(e.Record[i].Value) + len(e.Record[i].Ext)
	}
	if e.Key != d.held.Key || len(d.held.Record) == 0 {
		done, d.held, d.bytes = d.held, e, size
		return done, len(done.Record) > 0
	}
	d.bytes += size
	rec := append(d.held.Record, e.Record...)
	if len(rec) > crdt.MaxSiblings || d.bytes > MaxRecordBytes {
		r.Fail(fmt.Sprintf("record of %d events and %d bytes", len(rec), d.bytes))
		return done, false
	}
	byDot := func(a, b crdt.Event) int { return a.Dot.Compare(b.Dot) }
	slices.SortFunc(rec, byDot)
	for i := 1; i < len(rec); i++ {
		if rec[i].Dot == rec[i-1].Dot {
			r.Fail(fmt.Sprintf("two events with dot %s:%d in one record", rec[i].Writer, rec[i].Seq))
		}
	}
	d.held.Record = rec
	return done, false
}
