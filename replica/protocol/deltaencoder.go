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
	blockEncoder  // of the frame being filled
}

// NewDeltaEncoder returns an encoder of the delta of b. It hands each frame to
// send, whose error ends the encoding.
func NewDeltaEncoder(b Build, send func(Frame) error) *DeltaEncoder {
	return &DeltaEncoder{
		number: b.Number, epoch: b.Epoch, told: b.Told, send: send, blockEncoder: newBlockEncoder(),
	}
}

// Add adds a record, which must have changed since the Build's From: each key
// once. It keeps nothing of e.
func (d *DeltaEncoder) Add(e crdt.Entry) error {
	return d.add(e, func() error { return d.flush(nil) })
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

// flush sends the frame being filled; a diff that is not nil makes it the last.
func (d *DeltaEncoder) flush(diff []crdt.Dot) error {
	b := appendDeltaHead(len(diff)*entryBytes+d.size(), d.number, d.epoch, diff)
	return d.send(Frame{d.appendTo(b)})
}
