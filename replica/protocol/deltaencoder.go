package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// DeltaEncoder writes one delta as Delta frames. A frame ends at
// TargetFrameBytes; a record that is larger is split into entries of the same
// key with some of its events each. Not safe for concurrent use.
type DeltaEncoder struct {
	build        Build
	brings       crdt.Vector
	send         func(Frame) error
	blockEncoder // of the frame being filled
}

// NewDeltaEncoder returns an encoder of the delta of b. It hands each frame to
// send, whose error ends the encoding.
func NewDeltaEncoder(b Build, send func(Frame) error) *DeltaEncoder {
	return &DeltaEncoder{build: b, send: send, blockEncoder: newBlockEncoder()}
}

// Add adds a record, which must have changed since the Build's From: each key
// once. It keeps nothing of e.
func (d *DeltaEncoder) Add(e crdt.Entry) error {
	return d.add(e, func() error { return d.flush(nil) })
}

// Bring says that the delta brings only what these writers wrote, from these
// sequence numbers on (Build.Base). It is due before Finish.
func (d *DeltaEncoder) Bring(brings crdt.Vector) { d.brings = brings }

// Finish sends what is left, and that the delta brings the peer to the vector
// to, with the snapshot's floor, both in normal form. The floor must be told
// in steps of MaxEntriesPerFrame at most.
func (d *DeltaEncoder) Finish(to, floor crdt.Vector) error {
	end := endOf(&d.build, d.brings, to, floor)
	if n := len(end.floor); n > MaxEntriesPerFrame {
		return fmt.Errorf("%d new entries of a floor where at most %d are allowed", n, MaxEntriesPerFrame)
	}
	for len(end.diff) > MaxEntriesPerFrame {
		if err := d.send(encodeHave(d.build.Number, end.diff[:MaxEntriesPerFrame])); err != nil {
			return err
		}
		end.diff = end.diff[MaxEntriesPerFrame:]
	}
	if end.follows(len(d.records), d.target) {
		if err := d.flush(nil); err != nil {
			return err
		}
	}
	return d.flush(end)
}

// flush sends the frame being filled; an end makes it the last.
func (d *DeltaEncoder) flush(end *deltaEnd) error {
	return d.send(Frame{d.appendTo(appendDeltaHead(d.size(), d.build.Number, d.build.Epoch, end))})
}
