package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Announce names a namespace that was opened after the Hello, and gives it the
// sender's next number:
//
//	announce = [2 name]
//
// It has no hash: a namespace that was just opened is empty, as a rule.
type announce struct{ name string }

func (a *announce) encode() Frame {
	return Frame{crdt.AppendString(newMessage(8+len(a.name), 1, codeAnnounce), a.name)}
}

func readAnnounce(r *crdt.Reader, fields int) announce {
	wantFields(r, fields, 1)
	return announce{readName(r)}
}
