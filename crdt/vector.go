package crdt

import (
	"crypto/sha256"
	"maps"
	"slices"
)

// Vector is a version vector: for each writer, the sequence number up to
// which every one of its transactions is covered. A writer that is not in it
// is covered up to 0, that is not at all; no entry is 0.
//
// A vector is expanded when it has an entry for every writer that it covers,
// and in normal form when entries that others imply are left out (Lineage).
// Comparisons and joins run on expanded vectors, which have an entry for each
// run of a node, or on a Past, which answers as they do. A Vector is a map: it
// is not safe for concurrent use while someone writes to it.
type Vector map[WriterID]uint64

// Covers reports whether the transaction d is covered.
func (v Vector) Covers(d Dot) bool { return d.Seq <= v[d.Writer] }

// CoversAll reports whether v covers everything that o covers.
func (v Vector) CoversAll(o Vector) bool {
	for w, s := range o {
		if v[w] < s {
			return false
		}
	}
	return true
}

// Equal reports whether both cover the same.
func (v Vector) Equal(o Vector) bool { return maps.Equal(v, o) }

// Clone returns a copy that shares nothing with v.
func (v Vector) Clone() Vector {
	if v == nil {
		return Vector{}
	}
	return maps.Clone(v)
}

// Advance raises the entry of w to s if it is lower.
func (v Vector) Advance(w WriterID, s uint64) {
	if s > v[w] {
		v[w] = s
	}
}

// Join raises every entry of v to that of o.
func (v Vector) Join(o Vector) {
	for w, s := range o {
		v.Advance(w, s)
	}
}

// Meet lowers every entry of v to that of o.
func (v Vector) Meet(o Vector) {
	for w, s := range v {
		if least := min(s, o[w]); least == 0 {
			delete(v, w)
		} else {
			v[w] = least
		}
	}
}

// Entries returns the entries ordered by writer.
func (v Vector) Entries() []Dot {
	es := make([]Dot, 0, len(v))
	for w, s := range v {
		es = append(es, Dot{w, s})
	}
	slices.SortFunc(es, Dot.Compare)
	return es
}

// Behind returns, ordered by writer, the entries of o that v does not cover.
func (v Vector) Behind(o Vector) []Dot {
	var es []Dot
	for w, s := range o {
		if v[w] < s {
			es = append(es, Dot{w, s})
		}
	}
	slices.SortFunc(es, Dot.Compare)
	return es
}

// VectorHash names a vector in normal form.
type VectorHash [16]byte

// Hash returns the first 16 bytes of the SHA-256 of the canonical encoding.
// Two nodes hold the same transactions if the hashes of their vectors in
// normal form are equal.
func (v Vector) Hash() VectorHash {
	sum := sha256.Sum256(AppendVector(nil, v))
	return VectorHash(sum[:16])
}

// AppendVector appends v's canonical encoding: an array of 2n elements,
// writer and sequence number in turn, ordered by writer.
func AppendVector(dst []byte, v Vector) []byte {
	dst = AppendArray(dst, 2*len(v))
	for _, e := range v.Entries() {
		dst = AppendBytes(dst, e.Writer[:])
		dst = AppendUint(dst, e.Seq)
	}
	return dst
}

// ReadVector reads what AppendVector wrote. Entries out of order, repeated or
// zero are errors of r.
func ReadVector(r *Reader) Vector {
	n := r.Array(2 * MaxVectorEntries)
	if n%2 != 0 {
		r.Fail("vector of odd length")
		return nil
	}
	v := make(Vector, n/2)
	var last WriterID
	for i := 0; i < n/2 && r.Err() == nil; i++ {
		w := r.Writer()
		s := r.Uint()
		if s == 0 || (i > 0 && w.Compare(last) <= 0) {
			r.Fail("vector entry zero or out of order")
			break
		}
		v[w], last = s, w
	}
	return v
}
