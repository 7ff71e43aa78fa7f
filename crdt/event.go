package crdt

import (
	"bytes"
	"fmt"
)

// Event is one write or removal of one record. It is immutable: two events
// of one record with one dot are the same event.
type Event struct {
	Dot
	// Time breaks ties between concurrent events.
	Time Timestamp
	// Removed marks a removal; it has no value. No fold reads removals.
	Removed bool
	// Value is opaque to everything but the lens of the record's type.
	Value []byte
	// Expires is when a value begins to read as a removal, in milliseconds
	// since 1970, by its writer's clock; 0 is never.
	Expires int64
	// Ext holds fields that a later release added, as msgpack elements one
	// behind the other; they are carried byte for byte. Of an event that does
	// not expire the first is whatever is in the place of the expiry.
	Ext []byte
}

// The on-disk and on-wire form of an event:
//
//	event   = array(4 + e) writer-index seq time value *ext
//	value   = bytes, or nil for a removal
//	ext     = expires, then fields of later releases
//	expires = uint, 1 to MaxExpires
//
// The first release carries all of ext unread. What is no expiry in the place
// of one, and any on a removal, is carried in the same way: a later release
// that has further fields and no expiry writes nil there. So what is read is
// written again byte for byte, whatever it is.
//
// The index names a writer in a table that the container keeps: the store's
// interned writers on disk, the frame's own table on the wire.
const (
	eventFields    = 4
	maxEventFields = eventFields + 16
)

// AppendEvent appends e with index in the place of its writer.
func AppendEvent(dst []byte, e *Event, index uint64) []byte {
	if e.plain() {
		dst = append(dst, 0x90|eventFields)
	} else {
		dst = AppendArray(dst, e.fields())
	}
	dst = AppendUint(dst, index)
	return appendEventTail(dst, e)
}

// plain reports whether e has nothing behind its value, as most have.
func (e *Event) plain() bool { return e.Expires == 0 && len(e.Ext) == 0 }

// fields returns how many fields e has.
func (e *Event) fields() int {
	n := eventFields + countElements(e.Ext)
	if e.Expires != 0 {
		n++
	}
	return n
}

func appendEventTail(dst []byte, e *Event) []byte {
	dst = AppendUint(dst, e.Seq)
	dst = AppendUint(dst, uint64(e.Time))
	if e.Removed {
		dst = AppendNil(dst)
	} else {
		dst = AppendBytes(dst, e.Value)
	}
	if e.plain() {
		return dst
	}
	return AppendFields(dst, e)
}

// AppendFields appends what AppendEvent does behind e's value.
func AppendFields(dst []byte, e *Event) []byte {
	if e.Expires != 0 {
		dst = AppendUint(dst, uint64(e.Expires))
	}
	return append(dst, e.Ext...)
}

// TakeFields takes what AppendFields appended, which e has none of, and which it
// aliases from then on. Removed is to be right before.
func (e *Event) TakeFields(fields []byte) error {
	r, n := Reader{buf: fields}, eventFields
	for ; r.More(); n++ {
		r.Raw()
	}
	if n > maxEventFields {
		r.Fail(fmt.Sprintf("event of %d fields, at most %d are allowed", n, maxEventFields))
	}
	e.takeFields(fields, &r)
	return r.Err()
}

// takeFields takes fields that r has read.
func (e *Event) takeFields(fields []byte, r *Reader) {
	e.readExt(fields)
	if len(e.Ext) > MaxExtBytes {
		r.Fail(fmt.Sprintf("%d bytes of further fields, at most %d are allowed", len(e.Ext), MaxExtBytes))
	}
}

// countElements counts the msgpack elements in b, which a Reader checked.
func countElements(b []byte) (n int) {
	if len(b) == 0 {
		return 0
	}
	for r := NewReader(b); r.More(); n++ {
		r.Raw()
	}
	return n
}

// ReadEvent reads what AppendEvent wrote; writer turns an index into a
// writer and reports whether there is one. Value and Ext alias the input.
func ReadEvent(r *Reader, writer func(index uint64) (WriterID, bool)) (e Event) {
	e.read(r, writer)
	return e
}

// read is ReadEvent into e, which is zero before, and after an error.
func (e *Event) read(r *Reader, writer func(index uint64) (WriterID, bool)) {
	n := r.Array(maxEventFields)
	if r.Err() == nil && n < eventFields {
		r.Fail(fmt.Sprintf("event of %d fields, want at least %d", n, eventFields))
	}
	index := r.Uint()
	var ok bool
	if e.Writer, ok = writer(index); !ok {
		r.Fail(fmt.Sprintf("event of writer %d, which is not in the table", index))
	}
	e.Seq, e.Time = r.Uint(), Timestamp(r.Uint())
	if e.Seq == 0 {
		r.Fail("event with sequence number 0")
	}
	if e.Removed = r.Nil(); !e.Removed {
		e.Value = r.Bytes(MaxValueBytes)
	}
	if n > eventFields && r.Err() == nil {
		rest := r.Rest()
		for range n - eventFields {
			r.Raw()
		}
		n := len(rest) - len(r.Rest())
		e.takeFields(rest[:n:n], r)
	}
	if r.Err() != nil {
		*e = Event{}
	}
}

// readExt takes the further fields of an event, the expiry first.
func (e *Event) readExt(fields []byte) {
	e.Ext = fields
	if e.Removed || len(fields) == 0 {
		return
	}
	r := Reader{buf: fields}
	if u := r.Uint(); r.Err() == nil && u >= 1 && u <= MaxExpires {
		e.Expires, e.Ext = int64(u), r.Rest()
	}
	if len(e.Ext) == 0 {
		e.Ext = nil
	}
}

// compareContent orders events of one dot by what they hold. They should be
// equal; where a faulty peer made two contents for one dot, every node keeps
// the same one.
func (e *Event) compareContent(o *Event) int {
	if e.Time == o.Time && e.Removed == o.Removed && e.Expires == o.Expires && bytes.Equal(e.Value, o.Value) && bytes.Equal(e.Ext, o.Ext) {
		return 0 // as it should be: then nothing is encoded to compare
	}
	return bytes.Compare(appendEventTail(nil, e), appendEventTail(nil, o))
}

// Later reports whether e beats o among concurrent events: by time, then by
// dot.
func (e *Event) Later(o *Event) bool {
	if e.Time != o.Time {
		return e.Time > o.Time
	}
	return e.Dot.Compare(o.Dot) > 0
}
