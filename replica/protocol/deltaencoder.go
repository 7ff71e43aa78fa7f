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
	kept         only
	frames       int
	sent         Sent
}

// only is the record of a delta that has one.
type only struct {
	entry crdt.Entry
	added int
}

func (o *only) add(e crdt.Entry) {
	if o.added++; o.added == 1 {
		o.entry = e
	} else {
		o.entry = crdt.Entry{}
	}
}

// get returns it, or nil.
func (o *only) get() *crdt.Entry {
	if o.added != 1 {
		return nil
	}
	return &o.entry
}

// NewDeltaEncoder returns an encoder of the delta of b. It hands each frame to
// send, whose error ends the encoding.
func NewDeltaEncoder(b Build, send func(Frame) error) *DeltaEncoder {
	return &DeltaEncoder{build: b, send: send, blockEncoder: newBlockEncoder(b.Columns)}
}

// Add adds a record, which must have changed since the Build's From: each key
// once. It keeps the first until there is another, or the end.
func (d *DeltaEncoder) Add(e crdt.Entry) error {
	d.kept.add(e)
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
	if end.follows(d.filled(), d.target) {
		if err := d.flush(nil); err != nil {
			return err
		}
	}
	if e := d.kept.get(); d.frames == 0 {
		d.sent = sentBy(&d.build, e, end)
		if f, ok := putOf(&d.build, e, end); ok {
			return d.send(f)
		}
	}
	return d.flush(end)
}

// Sent returns what the delta leaves for the next, once it is finished.
func (d *DeltaEncoder) Sent() Sent { return d.sent }

// flush sends the frame being filled; an end makes it the last.
func (d *DeltaEncoder) flush(end *deltaEnd) error {
	d.frames++
	return d.send(Frame{d.appendTo(appendDeltaHead(d.size(), d.build.Number, d.build.Epoch, end))})
}
