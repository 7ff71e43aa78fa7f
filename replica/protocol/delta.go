package protocol

import "github.com/anabranch-db/anabranch/crdt"

// A delta is one or more Delta frames, one behind the other; frames of other
// messages may come between.
//
//	delta   = [8 number epoch diff table records]
//	        | [8 number epoch diff floor table records]
//	        | [8 number epoch diff floor brings table records]
//	number  = the sender's number of the namespace
//	epoch   = the receiver's, from its last Vector or Refuse: which state of
//	          the receiver the delta builds on
//	diff    = nil, or, in the last frame, the entries of the snapshot's vector
//	          that are not in what the sender told, and are told by it
//	floor   = in the last frame, if there are any: the entries of the snapshot's
//	          floor that no delta before has told; FeatureReconcile
//	brings  = in the last frame, for some writers, from which of their
//	          transactions on the delta brings them; of all other writers it
//	          builds on what the sender's vector now has; FeatureSpare
//	table records = a block (recordblock.go): for each record that changed its
//	          present events
//
// A delta that is broken off is never gone on with: that always comes with
// another epoch, or another number. So a frame that follows a last one is a
// first one.
//
// The receiver joins the records under its own vector and the sender's, which
// is what it was told with diff: see doc.go on why that is the snapshot's.
type deltaHead struct {
	number, epoch uint64
	last          bool
	diff          crdt.Vector // of the last frame
	floor         crdt.Vector // of the last frame; nil: nothing new
	brings        crdt.Vector // of the last frame; nil: all that the receiver lacks
}

const deltaFields = 5

// appendDeltaHead returns a message up to the table, with room for size bytes
// more; end is nil in a frame that is not the last.
func appendDeltaHead(size int, number, epoch uint64, end *deltaEnd) []byte {
	if end == nil {
		b := newMessage(64+size, deltaFields, codeDelta)
		return crdt.AppendNil(crdt.AppendUint(crdt.AppendUint(b, number), epoch))
	}
	fields := deltaFields
	switch {
	case len(end.brings) > 0:
		fields += 2
	case len(end.floor) > 0:
		fields++
	}
	b := newMessage(64+size+end.bytes(), fields, codeDelta)
	b = crdt.AppendUint(b, number)
	b = crdt.AppendUint(b, epoch)
	b = appendEntries(b, end.diff)
	if fields > deltaFields {
		b = appendEntries(b, end.floor)
	}
	if len(end.brings) > 0 {
		b = appendEntries(b, end.brings)
	}
	return b
}

// deltaEnd is what the last frame of a delta tells beside its records.
type deltaEnd struct{ diff, floor, brings []crdt.Dot }

// endOf returns the end of the delta of b, of a snapshot with that vector and
// floor.
func endOf(b *Build, brings, to, floor crdt.Vector) *deltaEnd {
	return &deltaEnd{b.Told.Behind(to), b.FloorTold.Behind(floor), brings.Entries()}
}

func (e *deltaEnd) bytes() int { return (len(e.diff) + len(e.floor) + len(e.brings)) * entryBytes }

// follows reports whether the end has to go in a frame of its own, behind one
// with so many bytes of records.
func (e *deltaEnd) follows(records, target int) bool {
	return records > 0 && records+e.bytes() > target
}

// readDeltaHead reads up to the table; DeltaDecoder reads the rest.
func readDeltaHead(r *crdt.Reader, fields int) (d deltaHead) {
	more := fields - deltaFields
	if more != 1 && more != 2 {
		wantFields(r, fields, deltaFields)
	}
	d.number, d.epoch = readNumber(r), r.Uint()
	if d.last = !r.Nil(); d.last {
		d.diff = readEntries(r)
	}
	if more > 0 {
		if d.floor = readEntries(r); r.Err() == nil && (!d.last || more == 1 && len(d.floor) == 0) {
			r.Fail("a floor that is empty, or not in the last frame")
		}
	}
	if more > 1 {
		if d.brings = readEntries(r); r.Err() == nil && len(d.brings) == 0 {
			r.Fail("a delta that brings nothing, in so many words")
		}
	}
	if len(d.floor) == 0 {
		d.floor = nil
	}
	return d
}
