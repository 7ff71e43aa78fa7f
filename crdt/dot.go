package crdt

import (
	"bytes"
	"cmp"
	"encoding/hex"
)

// WriterID names one run of one node in one namespace incarnation. It is
// random, made at the run's first write, and never used again afterwards, so
// that a dot is used once by construction (a clone or a restored backup makes
// a writer of its own).
type WriterID [16]byte

// String returns the id in hex.
func (w WriterID) String() string { return hex.EncodeToString(w[:]) }

// Compare orders writers by their bytes.
func (w WriterID) Compare(o WriterID) int { return bytes.Compare(w[:], o[:]) }

// NodeID names a node: its ed25519 public key.
type NodeID [32]byte

// String returns the id in hex.
func (n NodeID) String() string { return hex.EncodeToString(n[:]) }

// Short returns the first 8 hex digits, for people to read.
func (n NodeID) Short() string { return hex.EncodeToString(n[:4]) }

// Compare orders nodes by their bytes.
func (n NodeID) Compare(o NodeID) int { return bytes.Compare(n[:], o[:]) }

// IsZero reports whether n names no node.
func (n NodeID) IsZero() bool { return n == NodeID{} }

// Dot names one transaction of one writer, and so each event of it: at most
// one per record. Sequence numbers are dense and start at 1.
type Dot struct {
	Writer WriterID
	Seq    uint64
}

// Compare orders dots by writer, then by sequence number. The order is total
// and means nothing causally; it serves canonical encodings and tie-breaks.
func (d Dot) Compare(o Dot) int {
	if c := d.Writer.Compare(o.Writer); c != 0 {
		return c
	}
	return cmp.Compare(d.Seq, o.Seq)
}
