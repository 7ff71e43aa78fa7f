package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Want asks for a delta. Each is answered by one, though one delta may answer
// several; it is empty if everything is on its way already.
//
//	want   = [7 number]
//	number = the number that the sender gave the namespace
type want struct{ number uint64 }

func (w *want) encode() Frame {
	return Frame{crdt.AppendUint(newMessage(16, 1, codeWant), w.number)}
}

func readWant(r *crdt.Reader, fields int) want {
	wantFields(r, fields, 1)
	return want{readNumber(r)}
}
