package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Have says what the sender covers beyond what it told. It acknowledges a
// delta, and announces one to others.
//
//	have   = [5 number diff]
//	number = the sender's number of the namespace
//	diff   = the entries of its durable vector, in normal form, that are not
//	         in what it told
type have struct {
	number uint64
	diff   crdt.Vector
}

const haveFields = 2

// encodeHave returns the message; diff has MaxEntriesPerFrame entries at most.
func encodeHave(number uint64, diff []crdt.Dot) Frame {
	b := newMessage(16+len(diff)*entryBytes, haveFields, codeHave)
	return Frame{appendEntries(crdt.AppendUint(b, number), diff)}
}

func readHave(r *crdt.Reader, fields int) have {
	wantFields(r, fields, haveFields)
	return have{readNumber(r), readEntries(r)}
}
