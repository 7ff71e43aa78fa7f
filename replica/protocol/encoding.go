package protocol

import (
	"iter"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// Encoding holds the records of a delta as they go to each peer that it is
// for: the deltas of one snapshot since one vector differ in the heads of their
// frames only. Once it is complete it is safe for concurrent use.
type Encoding struct {
	blocks [][]byte // one for each frame
	bytes  int      // of blocks
	last   int      // bytes of the records in the last one
	part   blockEncoder
	kept   only
}

// NewEncoding returns an encoding without records, for Builds with these Columns.
func NewEncoding(columns bool) *Encoding { return &Encoding{part: newBlockEncoder(columns)} }

// Add adds a record, as DeltaEncoder's does.
func (e *Encoding) Add(entry crdt.Entry) error {
	e.kept.add(entry)
	return e.part.add(entry, func() error { e.cut(); return nil })
}

// Bytes returns about how large the encoding is.
func (e *Encoding) Bytes() int { return e.bytes + e.part.size() }

// Complete ends the encoding: no record is added any more.
func (e *Encoding) Complete() { e.cut() }

// cut ends a block.
func (e *Encoding) cut() {
	e.last = e.part.filled()
	block := e.part.appendTo(make([]byte, 0, e.part.size()+16))
	e.blocks = append(e.blocks, block)
	e.bytes += len(block)
}

// emptyBlock is a block without records.
var emptyBlock = new(blockEncoder).appendTo(nil)

// FitsFrame reports whether what the last frame of a delta has to say, beside
// records, fits a frame. If it does not, the delta is for a DeltaEncoder.
func FitsFrame(brings, to, floor crdt.Vector) bool {
	return len(to)+len(floor)+len(brings) <= MaxEntriesPerFrame
}

// Frames yields the frames of the delta of b, which ends as DeltaEncoder's
// Finish says: each in two parts, of which the second belongs to the encoding
// and is not to be modified.
func (e *Encoding) Frames(b Build, brings, to, floor crdt.Vector) iter.Seq2[Frame, []byte] {
	end := endOf(&b, brings, to, floor)
	if f, ok := putOf(&b, e.kept.get(), end); ok && e.whole(end) {
		return func(yield func(Frame, []byte) bool) { yield(f, nil) }
	}
	head := func(end *deltaEnd) Frame { return Frame{appendDeltaHead(0, b.Number, b.Epoch, end)} }
	return func(yield func(Frame, []byte) bool) {
		last := len(e.blocks) - 1
		for _, block := range e.blocks[:last] {
			if !yield(head(nil), block) {
				return
			}
		}
		block := e.blocks[last]
		if end.follows(e.last, e.part.target) {
			if !yield(head(nil), block) {
				return
			}
			block = emptyBlock
		}
		yield(head(end), block)
	}
}

// whole reports whether the delta is one frame.
func (e *Encoding) whole(end *deltaEnd) bool {
	return len(e.blocks) == 1 && !end.follows(e.last, e.part.target)
}

// Sent returns what the delta that Frames yields leaves for the next.
func (e *Encoding) Sent(b Build, brings, to, floor crdt.Vector) Sent {
	end := endOf(&b, brings, to, floor)
	if !e.whole(end) {
		return Sent{}
	}
	return sentBy(&b, e.kept.get(), end)
}

// SameRecords reports whether the deltas of both have the same records, if they
// are of one snapshot.
func (b *Build) SameRecords(o *Build) bool {
	return b.Namespace == o.Namespace && b.Reconciles == o.Reconciles && b.OwnOnly == o.OwnOnly && b.Columns == o.Columns &&
		slices.Equal(b.Spared, o.Spared) && b.From.Equal(o.From)
}
