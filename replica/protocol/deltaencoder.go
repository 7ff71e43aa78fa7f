package protocol

import (
	"github.com/anabranch-db/anabranch/crdt"
)

// DeltaEncoder writes one delta as Delta frames. A frame ends at
// TargetFrameBytes; a record that is larger is split into entries of the same
// key with some of its events each. Not safe for concurrent use.
type DeltaEncoder struct {
	number, epoch uint64
	told          crdt.Vector
	send          func(Frame) error
	target        int

	// The frame being filled.
	table   map[crdt.WriterID]uint64
	writers []byte // the ids in the table, encoded, in order
	records []byte
	count   int // entries in records
}

// NewDeltaEncoder returns an encoder of the delta of b. It hands each frame to
// send, whose error ends the encoding.
func NewDeltaEncoder(b Build, send func(Frame) error) *DeltaEncoder {
	return &DeltaEncoder{
		number: b.Number, epoch: b.Epoch, told: b.Told, send: send,
		target: TargetFrameBytes, table: map[crdt.WriterID]uint64{},
	}
}

// Add adds a record, which must have changed since the Build's From: each key
// once. It keeps nothing of e.
func (d *DeltaEncoder) Add(e crdt.Entry) error {
	for rest := e.Record; len(rest) > 0; {
		n, size := d.fitting(e.Key, rest)
		if d.count > 0 && (len(d.records)+size > d.target || len(d.table)+n > MaxWritersPerFrame) {
			if err := d.flush(nil); err != nil {
				return err
			}
		}
		d.records = crdt.AppendString(d.records, string(e.Key))
		d.records = crdt.AppendRecord(d.records, rest[:n], d.index)
		d.count++
		rest = rest[n:]
	}
	return nil
}

// Finish sends what is left, and that the delta brings the peer to the vector
// to, in normal form.
func (d *DeltaEncoder) Finish(to crdt.Vector) error {
	diff := d.told.Behind(to)
	for len(diff) > MaxEntriesPerFrame {
		if err := d.send(encodeHave(d.number, diff[:MaxEntriesPerFrame])); err != nil {
			return err
		}
		diff = diff[MaxEntriesPerFrame:]
	}
	if d.count > 0 && len(d.records)+len(diff)*entryBytes > d.target {
		if err := d.flush(nil); err != nil {
			return err
		}
	}
	if diff == nil {
		diff = []crdt.Dot{}
	}
	return d.flush(diff)
}

// eventOverhead is what an event takes at most beside its value and fields.
const eventOverhead = 40

// fitting returns how many of the events fit one entry, at least one, and at
// most how many bytes the entry takes.
func (d *DeltaEncoder) fitting(k crdt.Key, rec crdt.Record) (n, size int) {
	size = len(k) + eventOverhead
	for n < len(rec) && n < MaxWritersPerFrame {
		more := len(rec[n].Value) + len(rec[n].Ext) + eventOverhead
		if n > 0 && size+more > d.target {
			break
		}
		size += more
		n++
	}
	return n, size
}

// index returns the place of w in the frame's table.
func (d *DeltaEncoder) index(w crdt.WriterID) uint64 {
	i, ok := d.table[w]
	if !ok {
		i = uint64(len(d.table))
		d.table[w] = i
		d.writers = crdt.AppendBytes(d.writers, w[:])
	}
	return i
}

// flush sends the frame being filled; a diff that is not nil makes it the last.
func (d *DeltaEncoder) flush(diff []crdt.Dot) error {
	size := len(diff)*entryBytes + len(d.writers) + len(d.records)
	b := appendDeltaHead(size, d.number, d.epoch, diff)
	b = append(crdt.AppendArray(b, len(d.table)), d.writers...)
	b = append(crdt.AppendArray(b, 2*d.count), d.records...)
	d.writers, d.records, d.count = d.writers[:0], d.records[:0], 0
	clear(d.table)
	return d.send(Frame{b})
}
