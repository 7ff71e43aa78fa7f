package crdt

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// ErrWriterRecord marks a writer record that is forged, cut off from its
// parents, or at odds with another one of the same id.
var ErrWriterRecord = errors.New("invalid writer record")

// WriterRecord introduces a writer: one run of a node in a namespace. It is
// made with the writer's first transaction, signed by the node, and immutable.
type WriterRecord struct {
	Writer    WriterID
	Node      NodeID
	Namespace string
	// Parents are the entries of the node's own earlier writers in the
	// namespace's vector in normal form when the writer began, ordered by
	// writer: one per branch of the node's history. Whoever covers anything
	// of the writer covers its parents up to these numbers.
	Parents []Dot
	// Started is when the writer began, by its node's clock.
	Started Timestamp
	// Signature is the node's ed25519 signature of SigningBytes.
	Signature [ed25519.SignatureSize]byte
}

const writerRecordDomain = "anabranch writer record v1"

// SigningBytes returns what the signature covers.
func (w *WriterRecord) SigningBytes() []byte {
	return w.appendFields(AppendString(nil, writerRecordDomain))
}

func (w *WriterRecord) appendFields(dst []byte) []byte {
	dst = AppendBytes(dst, w.Writer[:])
	dst = AppendBytes(dst, w.Node[:])
	dst = AppendString(dst, w.Namespace)
	dst = AppendArray(dst, 2*len(w.Parents))
	for _, p := range w.Parents {
		dst = AppendBytes(dst, p.Writer[:])
		dst = AppendUint(dst, p.Seq)
	}
	return AppendUint(dst, uint64(w.Started))
}

const writerRecordFields = 6

// AppendWriterRecord appends w's canonical encoding:
//
//	array(6) writer node namespace [parent seq ...] started signature
func AppendWriterRecord(dst []byte, w *WriterRecord) []byte {
	dst = w.appendFields(AppendArray(dst, writerRecordFields))
	return AppendBytes(dst, w.Signature[:])
}

// ReadWriterRecord reads what AppendWriterRecord wrote. It does not verify
// the signature.
func ReadWriterRecord(r *Reader) (w WriterRecord) {
	if n := r.Array(writerRecordFields); r.Err() == nil && n != writerRecordFields {
		r.Fail(fmt.Sprintf("writer record of %d fields, want %d", n, writerRecordFields))
	}
	w.Writer, w.Node = r.Writer(), r.Node()
	w.Namespace = r.String(MaxNamespaceBytes)
	n := r.Array(2 * MaxParents)
	if n%2 != 0 {
		r.Fail("writer record with half a parent")
	}
	for i := 0; i < n/2 && r.Err() == nil; i++ {
		p := Dot{r.Writer(), r.Uint()}
		if p.Seq == 0 || (i > 0 && p.Writer.Compare(w.Parents[i-1].Writer) <= 0) {
			r.Fail("parent zero or out of order")
		}
		w.Parents = append(w.Parents, p)
	}
	w.Started = Timestamp(r.Uint())
	r.Fixed(w.Signature[:])
	return w
}

// Verify checks the signature. The error wraps ErrWriterRecord.
func (w *WriterRecord) Verify() error {
	if !ed25519.Verify(w.Node[:], w.SigningBytes(), w.Signature[:]) {
		return fmt.Errorf("%w: writer %s: the signature is not by node %s", ErrWriterRecord, w.Writer, w.Node.Short())
	}
	return nil
}

// Equal reports whether both records say the same.
func (w *WriterRecord) Equal(o *WriterRecord) bool {
	return w.Signature == o.Signature &&
		string(w.SigningBytes()) == string(o.SigningBytes())
}
