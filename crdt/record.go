package crdt

import (
	"fmt"
	"slices"
)

// Record is what a key holds: its latest concurrent events, ordered by dot,
// no dot twice. A write supersedes every event that its writer saw, so a
// record that was never written concurrently has one event. An empty record
// is no record.
type Record []Event

// Context answers whether a dot was seen. A Vector is one.
type Context interface{ Covers(Dot) bool }

// Join merges a, seen with the context actx, and b, seen with bctx. An event
// that is on both sides stays; an event of one side stays unless the other
// side's context covers it (then that side saw it and superseded it). It is
// the only merge function of the system: commutative, associative, and
// idempotent where each context covers its record. The result may share
// memory with both.
//
// Almeida, Shoker, Baquero, "Delta State Replicated Data Types", 2018,
// section 7 (the join of a causal CRDT, for a dot store of one map).
func Join(a Record, actx Context, b Record, bctx Context) Record {
	out := make(Record, 0, max(len(a), len(b)))
	for len(a) > 0 && len(b) > 0 {
		switch c := a[0].Dot.Compare(b[0].Dot); {
		case c < 0:
			out = appendUnless(out, &a[0], bctx)
			a = a[1:]
		case c > 0:
			out = appendUnless(out, &b[0], actx)
			b = b[1:]
		default:
			e := a[0]
			if a[0].compareContent(&b[0]) < 0 {
				e = b[0]
			}
			out = append(out, e)
			a, b = a[1:], b[1:]
		}
	}
	for i := range a {
		out = appendUnless(out, &a[i], bctx)
	}
	for i := range b {
		out = appendUnless(out, &b[i], actx)
	}
	return out
}

func appendUnless(out Record, e *Event, seen Context) Record {
	if seen.Covers(e.Dot) {
		return out
	}
	return append(out, *e)
}

// Visible returns the events that are values, in order.
func (rec Record) Visible() Record {
	for i := range rec {
		if rec[i].Removed {
			return slices.DeleteFunc(slices.Clone(rec), isRemoval)
		}
	}
	return rec
}

func isRemoval(e Event) bool { return e.Removed }

// stays returns the events that only a later event takes away.
func (rec Record) stays() Record {
	leaves := func(e Event) bool { return e.Removed || e.Expires != 0 }
	if !slices.ContainsFunc(rec, leaves) {
		return rec
	}
	return slices.DeleteFunc(slices.Clone(rec), leaves)
}

// Winner returns the event that a last-writer-wins read shows: the latest
// value by (time, dot), or nil if there is none.
func (rec Record) Winner() *Event {
	var w *Event
	for i := range rec {
		if e := &rec[i]; !e.Removed && (w == nil || e.Later(w)) {
			w = e
		}
	}
	return w
}

// Clone returns a copy that shares no memory with rec.
func (rec Record) Clone() Record {
	out := slices.Clone(rec)
	for i := range out {
		out[i].Value = slices.Clone(out[i].Value)
		out[i].Ext = slices.Clone(out[i].Ext)
	}
	return out
}

// AppendRecord appends rec as an array of events; index gives each writer's
// place in the container's table.
func AppendRecord(dst []byte, rec Record, index func(WriterID) uint64) []byte {
	if len(rec) == 1 { // as most have
		return AppendEvent(append(dst, 0x91), &rec[0], index(rec[0].Writer))
	}
	dst = AppendArray(dst, len(rec))
	for i := range rec {
		dst = AppendEvent(dst, &rec[i], index(rec[i].Writer))
	}
	return dst
}

// ReadRecord reads what AppendRecord wrote. Values alias the input. Events
// out of order by dot are sorted, since indices need not order as writers do;
// a dot that comes twice is an error of r.
func ReadRecord(r *Reader, writer func(index uint64) (WriterID, bool)) Record {
	return ReadRecordInto(nil, r, writer)
}

// ReadRecordInto is ReadRecord into the memory of dst, if the record fits.
func ReadRecordInto(dst Record, r *Reader, writer func(index uint64) (WriterID, bool)) Record {
	n := r.Array(MaxSiblings)
	if r.Err() != nil {
		return nil
	}
	if n > cap(dst) || dst == nil {
		dst = make(Record, n)
	}
	rec := dst[:n]
	if n == 1 { // as most have
		rec[0] = Event{}
		if rec[0].read(r, writer); r.Err() != nil {
			return nil
		}
		return rec
	}
	for i := range rec {
		rec[i] = ReadEvent(r, writer)
	}
	if r.Err() != nil {
		return nil
	}
	if !slices.IsSortedFunc(rec, compareDots) {
		slices.SortFunc(rec, compareDots)
	}
	for i := 1; i < len(rec); i++ {
		if rec[i].Dot == rec[i-1].Dot {
			r.Fail(fmt.Sprintf("two events with dot %s:%d in one record", rec[i].Writer, rec[i].Seq))
			return nil
		}
	}
	return rec
}

func compareDots(a, b Event) int { return a.Dot.Compare(b.Dot) }

// AppendCanonical appends rec with whole writer ids, the form that digests
// are computed over: equal records give equal bytes on every node.
func AppendCanonical(dst []byte, rec Record) []byte {
	dst = AppendArray(dst, len(rec))
	for i := range rec {
		dst = AppendArray(dst, rec[i].fields())
		dst = AppendBytes(dst, rec[i].Writer[:])
		dst = appendEventTail(dst, &rec[i])
	}
	return dst
}
