package store

import (
	"fmt"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// The value of a record:
//
//	+----+--------------------------+
//	| 01 | record (crdt)            |
//	+----+--------------------------+
//	  |    array of events, each naming its writer by its number here
//	  format
const recordFormat = 1

// appendRecord appends the value of rec.
func appendRecord(dst []byte, rec crdt.Record, index func(crdt.WriterID) uint64) []byte {
	return crdt.AppendRecord(append(dst, recordFormat), rec, index)
}

// appendWritten appends the value of a record with one event, by the writer
// with the given number.
func appendWritten(dst []byte, e *crdt.Event, writer uint32) []byte {
	dst = crdt.AppendArray(append(dst, recordFormat), 1)
	return crdt.AppendEvent(dst, e, uint64(writer))
}

// recordReader decodes the values of records into memory of its own, chunk by
// chunk, so that a scan allocates seldom. The zero value has no writers. Not
// safe for concurrent use.
type recordReader struct {
	writers func(uint64) (crdt.WriterID, bool)
	reader  crdt.Reader
	bytes   []byte       // the free part of the chunk
	events  []crdt.Event // the same, of events
	chunk   int          // size of the last chunk; they double up to arenaBytes
	keys    strings.Builder
}

// key copies a key into a chunk of keys.
func (d *recordReader) key(k []byte) crdt.Key {
	if d.keys.Cap()-d.keys.Len() < len(k) {
		d.keys = strings.Builder{}
		d.keys.Grow(max(len(k), d.chunk/4))
	}
	at := d.keys.Len()
	d.keys.Write(k)
	return crdt.Key(d.keys.String()[at:])
}

// read decodes a value, which it copies. Errors wrap ErrDamaged.
func (d *recordReader) read(key, value []byte) (crdt.Record, error) {
	rec, err := d.decode(d.copy(value))
	if err != nil {
		return nil, fmt.Errorf("%w: record %q: %w", ErrDamaged, key, err)
	}
	return rec, nil
}

// decode decodes a value. What it returns aliases the value.
func (d *recordReader) decode(value []byte) (crdt.Record, error) {
	if len(value) == 0 || value[0] != recordFormat {
		return nil, errFormat(value)
	}
	d.reader.Reset(value[1:])
	rec := d.record()
	return rec, d.reader.Done()
}

// record reads one event into the chunk, and several into memory of their
// own.
func (d *recordReader) record() crdt.Record {
	one := len(d.reader.Rest()) > 0 && d.reader.Rest()[0] == 0x91
	if !one {
		return crdt.ReadRecord(&d.reader, d.writers)
	}
	if len(d.events) == 0 {
		d.events = make([]crdt.Event, max(1, d.chunk/512))
	}
	room := crdt.Record(d.events[:1:1])
	d.events = d.events[1:]
	return crdt.ReadRecordInto(room, &d.reader, d.writers)
}

// copy copies b into the chunk.
func (d *recordReader) copy(b []byte) []byte {
	if len(b) > len(d.bytes) {
		d.chunk = min(max(2*d.chunk, 256), arenaBytes)
		d.bytes = make([]byte, max(d.chunk, len(b)))
	}
	c := d.bytes[:len(b):len(b)]
	d.bytes = d.bytes[len(b):]
	copy(c, b)
	return c
}

// errFormat says that a value's format byte is not one of ours.
func errFormat(value []byte) error {
	if len(value) == 0 {
		return fmt.Errorf("it is empty")
	}
	return fmt.Errorf("it has the unknown format %d", value[0])
}
