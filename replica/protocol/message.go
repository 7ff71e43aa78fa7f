package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// code is the first field of a message and says which it is. Frozen.
type code uint8

const (
	codeHello       code = 1
	codeAnnounce    code = 2
	codeGone        code = 3
	codeVector      code = 4
	codeHave        code = 5
	codeWriters     code = 6
	codeWant        code = 7
	codeDelta       code = 8
	codeRefuse      code = 9
	codeRevocations code = 10
	codeSource      code = 11
	codeCompare     code = 12
	codeAnswer      code = 13
	codeAddresses   code = 14
	codeClock       code = 15
	codeDigest      code = 16
	codeSpare       code = 17
)

var messageNames = [...]string{
	codeHello: "Hello", codeAnnounce: "Announce", codeGone: "Gone", codeVector: "Vector", codeHave: "Have",
	codeWriters: "Writers", codeWant: "Want", codeDelta: "Delta", codeRefuse: "Refuse", codeRevocations: "Revocations",
	codeSource: "Source", codeCompare: "Compare", codeAnswer: "Answer",
	codeAddresses: "Addresses", codeClock: "Clock", codeDigest: "Digest", codeSpare: "Spare",
}

func (c code) String() string {
	if int(c) < len(messageNames) && messageNames[c] != "" {
		return messageNames[c]
	}
	return fmt.Sprintf("message %d", uint8(c))
}

// maxFields bounds the fields of a message, those of a later Hello included.
const maxFields = 64

// readCode reads the start of a message: its code, and how many fields follow.
func readCode(r *crdt.Reader) (c code, fields int) {
	n := r.Array(maxFields)
	u := r.Uint()
	if r.Err() == nil && (n == 0 || u == 0 || u >= uint64(len(messageNames)) || messageNames[u] == "") {
		r.Fail(fmt.Sprintf("unknown message %d", u))
	}
	if r.Err() != nil {
		return 0, 0
	}
	return code(u), n - 1
}

// wantFields checks the number of fields of a message.
func wantFields(r *crdt.Reader, got, want int) {
	if r.Err() == nil && got != want {
		r.Fail(fmt.Sprintf("%d fields where %d are due", got, want))
	}
}

// entryBytes is what one entry of a vector takes at most.
const entryBytes = 18 + 9

// appendEntries appends the entries of a vector, as crdt.AppendVector does.
func appendEntries(dst []byte, entries []crdt.Dot) []byte {
	dst = crdt.AppendArray(dst, 2*len(entries))
	for _, e := range entries {
		dst = crdt.AppendBytes(dst, e.Writer[:])
		dst = crdt.AppendUint(dst, e.Seq)
	}
	return dst
}

// readEntries reads what appendEntries wrote.
func readEntries(r *crdt.Reader) crdt.Vector {
	v := crdt.ReadVector(r)
	if len(v) > MaxEntriesPerFrame {
		r.Fail(fmt.Sprintf("%d entries where at most %d are allowed", len(v), MaxEntriesPerFrame))
	}
	return v
}

// readNumber reads a number that a peer gave to a namespace.
func readNumber(r *crdt.Reader) uint64 {
	n := r.Uint()
	if n == 0 || n > MaxNumbers {
		r.Fail(fmt.Sprintf("no namespace can have number %d", n))
	}
	return n
}

// readName reads the name of a namespace.
func readName(r *crdt.Reader) string {
	name := r.String(crdt.MaxNamespaceBytes)
	if name == "" {
		r.Fail("namespace without a name")
	}
	return name
}
