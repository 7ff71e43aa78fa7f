package protocol

import (
	"github.com/anabranch-db/anabranch/crdt"
)

// A delta is one or more Delta frames, sent one behind the other (frames of
// other messages may come between):
//
//	delta   = [8 number epoch first to table records]
//	number  = the sender's number of the namespace
//	epoch   = the receiver's: which of its states the delta builds on
//	first   = bool; a delta begins, and one that is not complete is void
//	to      = nil, or in the last frame a vector: the entries of the sender's
//	          vector that differ from what it told, to which they are added
//	table   = [*writer]; events name their writers by their place in it
//	records = [*(key record)], the current events of each record that changed;
//	          equal keys in a row are parts of one record
//
// The receiver joins the records under its own vector and the sender's, which
// is why to must be the sender's snapshot exactly: see doc.go.
type deltaHead struct {
	number, epoch uint64
	first, last   bool
	diff          []crdt.Dot // of the last frame, else nil
}

const deltaFields = 6

// append returns a message with the fields up to the table, and room for size
// more bytes.
func (d *deltaHead) append(size int) []byte {
	b := newMessage(64+size, deltaFields, codeDelta)
	b = crdt.AppendUint(b, d.number)
	b = crdt.AppendUint(b, d.epoch)
	b = crdt.AppendBool(b, d.first)
	if !d.last {
		return crdt.AppendNil(b)
	}
	return appendEntries(b, d.diff)
}
