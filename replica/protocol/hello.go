package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// Hello is the first message of each side, and the only one whose form later
// versions may extend, by further fields at its end:
//
//	hello       = [1 min max cluster revocations namespaces features *later]
//	min, max    = the versions that the sender speaks
//	cluster     = 32 bytes; the other end's must be the same
//	revocations = 16 bytes; the hash of the revocations that the sender knows
//	namespaces  = [*(name hash)], numbered 1, 2, ... in this order
//	hash        = 16 bytes; of the durable vector in normal form
//	features    = [*feature]; not there in the first release (feature.go)
//
// Equal hashes need no vectors: a fleet in sync meets in constant bytes.
type hello struct {
	min, max    uint64
	cluster     [32]byte
	revocations [16]byte
	namespaces  []greeting
	features    []Feature // nil: the field is not there
}

// greeting is a namespace in a Hello.
type greeting struct {
	name string
	hash crdt.VectorHash
}

// helloFields are those of the first release.
const helloFields = 5

func (h *hello) encode() Frame {
	fields := helloFields
	if h.features != nil {
		fields++
	}
	b := newMessage(128+5*len(h.features)+len(h.namespaces)*(crdt.MaxNamespaceBytes+24), fields, codeHello)
	b = crdt.AppendUint(b, h.min)
	b = crdt.AppendUint(b, h.max)
	b = crdt.AppendBytes(b, h.cluster[:])
	b = crdt.AppendBytes(b, h.revocations[:])
	b = crdt.AppendArray(b, 2*len(h.namespaces))
	for _, g := range h.namespaces {
		b = crdt.AppendString(b, g.name)
		b = crdt.AppendBytes(b, g.hash[:])
	}
	if h.features != nil {
		b = appendFeatures(b, h.features)
	}
	return Frame{b}
}

func readHello(r *crdt.Reader, fields int) (h hello) {
	if fields < helloFields {
		r.Fail(fmt.Sprintf("%d fields where at least %d are due", fields, helloFields))
		return h
	}
	h.min, h.max = r.Uint(), r.Uint()
	r.Fixed(h.cluster[:])
	r.Fixed(h.revocations[:])
	n := r.Array(2 * MaxHelloNamespaces)
	if n%2 != 0 {
		r.Fail("namespace without a hash")
	}
	seen := make(map[string]bool, n/2)
	for i := 0; i < n/2 && r.Err() == nil; i++ {
		g := greeting{name: readName(r)}
		r.Fixed(g.hash[:])
		if seen[g.name] {
			r.Fail(fmt.Sprintf("namespace %q twice", g.name))
		}
		seen[g.name] = true
		h.namespaces = append(h.namespaces, g)
	}
	if fields > helloFields {
		h.features = readFeatures(r)
	}
	for range fields - helloFields - 1 {
		r.Raw()
	}
	return h
}
