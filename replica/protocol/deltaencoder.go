package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// DeltaEncoder writes one delta as Delta frames. A frame ends at
// TargetFrameBytes; a record that is larger is split into entries of the same
// key with some of its events each. Not safe for concurrent use.
type DeltaEncoder struct {
	number, epoch uint64
	told, floored crdt.Vector
	brings        crdt.Vector
	send          func(Frame) error
	blockEncoder  // of the frame being filled
}

// NewDeltaEncoder returns an encoder of the delta of b. It hands each frame to
// send, whose error ends the encoding.
func NewDeltaEncoder(b Build, send func(Frame) error) *DeltaEncoder {
	return &DeltaEncoder{
		number: b.Number, epoch: b.Epoch, told: b.Told, floored: b.FloorTold, send: send, blockEncoder: newBlockEncoder(),
	}
}

// Add adds a record, which must have changed since the Build's From: each key
// once. It keeps nothing of e.
func (d *DeltaEncoder) Add(e crdt.Entry) error {
	return d.add(e, func() error { return d.flush(nil, nil) })
}

// Bring says that the delta brings only what these writers wrote, from these
// sequence numbers on (Build.Base). It is due before Finish.
func (d *DeltaEncoder) Bring(brings crdt.Vector) { d.brings = brings }

// Finish sends what is left, and that the delta brings the peer to the vector
// to, with the snapshot's floor, both in normal form. The floor must be told
// in steps of MaxEntriesPerFrame at most.
func (d *DeltaEncoder) Finish(to, floor crdt.Vector) error {
	diff, news := d.told.Behind(to), d.floored.Behind(floor)
	if len(news) > MaxEntriesPerFrame {
		return fmt.Errorf("%d new entries of a floor where at most %d are allowed", len(news), MaxEntriesPerFrame)
	}
	for len(diff) > MaxEntriesPerFrame {
		if err := d.send(encodeHave(d.number, diff[:MaxEntriesPerFrame])); err != nil {
			return err
		}
		diff = diff[MaxEntriesPerFrame:]
	}
	if d.count > 0 && len(d.records)+(len(diff)+len(news)+len(d.brings))*entryBytes > d.target {
		if err := d.flush(nil, nil); err != nil {
			return err
		}
	}
	if diff == nil {
		diff = []crdt.Dot{}
	}
	return d.flush(diff, news)
}

// flush sends the frame being filled; a diff that is not nil makes it the last.
func (d *DeltaEncoder) flush(diff, floor []crdt.Dot) error {
	var brings []crdt.Dot
	if diff != nil {
		brings = d.brings.Entries()
	}
	b := appendDeltaHead((len(diff)+len(floor)+len(brings))*entryBytes+d.size(), d.number, d.epoch, diff, floor, brings)
	return d.send(Frame{d.appendTo(b)})
}
