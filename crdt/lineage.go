package crdt

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// Lineage holds the writer records of one namespace and answers what an entry
// of a vector implies: a writer implies its ancestors. The zero value is an
// empty lineage. Safe for concurrent reads, not beside Add.
type Lineage struct {
	records map[WriterID]*WriterRecord
}

// Clone returns a lineage with the same records.
func (l *Lineage) Clone() *Lineage { return &Lineage{records: maps.Clone(l.records)} }

// Get returns the record of w, or nil. It must not be modified.
func (l *Lineage) Get(w WriterID) *WriterRecord { return l.records[w] }

// Len returns how many writers are known.
func (l *Lineage) Len() int { return len(l.records) }

// Node returns the node that w is a run of.
func (l *Lineage) Node(w WriterID) (NodeID, bool) {
	if rec := l.records[w]; rec != nil {
		return rec.Node, true
	}
	return NodeID{}, false
}

// Add takes a record whose parents are known and runs of the same node. To
// add a known record again does nothing; another record under a known id is
// refused. Errors wrap ErrWriterRecord. Signatures are the caller's to verify.
func (l *Lineage) Add(rec *WriterRecord) error {
	if old := l.records[rec.Writer]; old != nil {
		if !old.Equal(rec) {
			return fmt.Errorf("%w: a second record for writer %s", ErrWriterRecord, rec.Writer)
		}
		return nil
	}
	for _, p := range rec.Parents {
		parent := l.records[p.Writer]
		if parent == nil {
			return fmt.Errorf("%w: writer %s: parent %s is unknown", ErrWriterRecord, rec.Writer, p.Writer)
		}
		if parent.Node != rec.Node {
			return fmt.Errorf("%w: writer %s: parent %s is of another node", ErrWriterRecord, rec.Writer, p.Writer)
		}
	}
	if l.records == nil {
		l.records = map[WriterID]*WriterRecord{}
	}
	l.records[rec.Writer] = rec
	return nil
}

// Unknown returns the writers of v that have no record here, ordered.
func (l *Lineage) Unknown(v Vector) []WriterID {
	var ws []WriterID
	for w := range v {
		if l.records[w] == nil {
			ws = append(ws, w)
		}
	}
	slices.SortFunc(ws, WriterID.Compare)
	return ws
}

// Expand returns v with an entry for every ancestor that its entries imply. A
// writer without a record counts for itself only.
func (l *Lineage) Expand(v Vector) Vector {
	out := v.Clone()
	var todo []WriterID
	for w := range v {
		todo = append(todo, w)
	}
	for len(todo) > 0 {
		rec := l.records[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		if rec == nil {
			continue
		}
		for _, p := range rec.Parents {
			if _, visited := out[p.Writer]; !visited {
				todo = append(todo, p.Writer)
			}
			out.Advance(p.Writer, p.Seq)
		}
	}
	return out
}

// Normalize returns the normal form of an expanded vector: without the
// entries that others imply. It is unique, so equal states have equal normal
// forms.
func (l *Lineage) Normalize(v Vector) Vector {
	implied := Vector{}
	for w := range v {
		if rec := l.records[w]; rec != nil {
			for _, p := range rec.Parents {
				implied.Advance(p.Writer, p.Seq)
			}
		}
	}
	out := make(Vector, len(v))
	for w, s := range v {
		if s > implied[w] {
			out[w] = s
		}
	}
	return out
}

// Parents returns the parents of a new writer of node in a namespace with the
// expanded vector v: the node's own entries in normal form, ordered. Beyond
// MaxParents branches the rest stay branches: the vector keeps entries for
// them, and a later run joins them.
func (l *Lineage) Parents(v Vector, node NodeID) []Dot {
	own := Vector{}
	for w, s := range v {
		if rec := l.records[w]; rec != nil && rec.Node == node {
			own[w] = s
		}
	}
	parents := l.Normalize(own).Entries()
	return parents[:min(len(parents), MaxParents)]
}

// Since returns the records of the writers that v covers and since does not,
// parents before children: what a peer at since must learn before v can be
// spoken of. Both are expanded.
func (l *Lineage) Since(v, since Vector) []*WriterRecord {
	var out []*WriterRecord
	done := map[WriterID]bool{}
	var visit func(w WriterID)
	visit = func(w WriterID) {
		rec := l.records[w]
		if rec == nil || done[w] || since[w] > 0 {
			return
		}
		done[w] = true
		for _, p := range rec.Parents {
			visit(p.Writer)
		}
		out = append(out, rec)
	}
	for _, e := range v.Entries() {
		visit(e.Writer)
	}
	return out
}
