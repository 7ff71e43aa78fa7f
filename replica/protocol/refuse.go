package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// Refuse says that a delta was not applied, and so none that builds on it:
//
//	refuse  = [9 number epoch reason entries]
//	epoch   = what a Delta to the sender must name from now on; one that names
//	          an older one is thrown away
//	entries = as in Vector: it REPLACES what the other end believed
//
// Nothing is pushed to the sender until it asks.
type refuse struct {
	vector
	reason reason
}

// reason says why a delta was refused. Frozen.
type reason uint8

const (
	reasonUnknownWriter reason = 1 // the context names a writer without its records
	reasonStore         reason = 2 // the store cannot apply it now
	reasonForbidden     reason = 3 // the sender may not write there
	reasonAwaited       reason = 4 // what it builds on did not come; FeatureSpare
)

var reasonNames = [...]string{
	reasonUnknownWriter: "unknown writer", reasonStore: "store", reasonForbidden: "forbidden",
	reasonAwaited: "what it builds on did not come",
}

func (r reason) String() string {
	if int(r) < len(reasonNames) && reasonNames[r] != "" {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

const refuseFields = 4

// encodeRefuse returns the message; entries are MaxEntriesPerFrame at most.
func encodeRefuse(number, epoch uint64, why reason, entries []crdt.Dot) Frame {
	b := newMessage(32+len(entries)*entryBytes, refuseFields, codeRefuse)
	b = crdt.AppendUint(b, number)
	b = crdt.AppendUint(b, epoch)
	b = crdt.AppendUint(b, uint64(why))
	return Frame{appendEntries(b, entries)}
}

func readRefuse(r *crdt.Reader, fields int) (f refuse) {
	wantFields(r, fields, refuseFields)
	f.number, f.epoch = readNumber(r), r.Uint()
	u := r.Uint()
	if u == 0 || u >= uint64(len(reasonNames)) {
		r.Fail(fmt.Sprintf("unknown reason %d", u))
	}
	f.reason, f.entries = reason(u&0xff), readEntries(r)
	return f
}
