package protocol

import "github.com/anabranch-db/anabranch/crdt"

func encodeHave(number uint64, diff []crdt.Dot) Frame {
	b := newMessage(16+len(diff)*entryBytes, 2, codeHave)
	b = crdt.AppendUint(b, number)
	return Frame{appendEntries(b, diff)}
}
