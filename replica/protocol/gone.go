package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Gone says that a namespace was dropped, or cannot be read, at the sender:
//
//	gone = [3 number]
//
// Both sides forget what the sender told and was told under this number. The
// number is not used again; frames that still name it are ignored, since they
// may be of a delta that was on its way.
type gone struct{ number uint64 }

func (g *gone) encode() Frame {
	return Frame{crdt.AppendUint(newMessage(16, 1, codeGone), g.number)}
}

func readGone(r *crdt.Reader, fields int) gone {
	wantFields(r, fields, 1)
	return gone{readNumber(r)}
}
