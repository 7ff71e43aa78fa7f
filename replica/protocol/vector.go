package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Vector says what the sender covers, from nothing on: what it told before is
// replaced.
//
//	vector  = [4 number epoch entries]
//	number  = the sender's number of the namespace
//	epoch   = what a Delta to the sender must name: it stands for the sender's
//	          state, and changes when that forgets what was sent to it
//	entries = the sender's durable vector in normal form
type vector struct {
	number, epoch uint64
	entries       crdt.Vector
}

const vectorFields = 3

// encodeVector returns the message; entries are MaxEntriesPerFrame at most.
func encodeVector(number, epoch uint64, entries []crdt.Dot) Frame {
	b := newMessage(32+len(entries)*entryBytes, vectorFields, codeVector)
	b = crdt.AppendUint(b, number)
	b = crdt.AppendUint(b, epoch)
	return Frame{appendEntries(b, entries)}
}

func readVector(r *crdt.Reader, fields int) vector {
	wantFields(r, fields, vectorFields)
	return vector{readNumber(r), r.Uint(), readEntries(r)}
}
