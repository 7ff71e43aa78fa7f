package crdt

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
)

var (
	// ErrWriterSpent says that a replica may not write: its writer is
	// another one's, or was used before. Restart gives it a new one.
	ErrWriterSpent = errors.New("this writer cannot write any more")
	// ErrTxEnded says that a transaction was used after its end.
	ErrTxEnded = errors.New("the transaction has ended")
)

// Replica is one node's copy of one namespace, in memory: the types, the
// vector and the lineage without disk and network. It is for trying and
// testing types, and for programs that move deltas themselves. Updates cost
// O(log n) in the records held, a View or a Clone O(1) in them. Not safe for
// concurrent use; Views stay as they are while the replica goes on.
type Replica struct {
	node    NodeID
	key     ed25519.PrivateKey // nil: writer records are not signed
	writer  WriterID
	begun   bool // the writer's record is in the lineage
	spent   bool // somebody else may write with this writer
	clock   Clock
	foreign Timestamp // the greatest timestamp merged, for the clock to observe
	vector  Vector    // expanded
	lineage *Lineage
	records map[WriterID]*WriterRecord // of lineage
	root    *tree
}

// maxSkewMillis is how far foreign timestamps pull the clock of a Replica: a
// minute, as in the durable one.
const maxSkewMillis = 60_000

// NewReplica returns an empty replica of node, whose first run writes as
// writer. A writer must never be used twice, by anyone. Its writer records
// are not signed, nor does it check the signatures of others: in one process
// there is nobody to be protected from.
func NewReplica(node NodeID, writer WriterID) *Replica {
	return &Replica{
		node: node, writer: writer,
		clock:  Clock{MaxSkewMillis: maxSkewMillis},
		vector: Vector{}, lineage: &Lineage{}, records: map[WriterID]*WriterRecord{},
	}
}

// NewSignedReplica returns an empty replica of the node with the given key.
// It signs its writer records, and Merge refuses those of others that are not
// signed by their nodes.
func NewSignedReplica(key ed25519.PrivateKey, writer WriterID) *Replica {
	r := NewReplica(NodeID(key.Public().(ed25519.PublicKey)), writer)
	r.key = key
	return r
}

// Node returns the node that r is a replica of.
func (r *Replica) Node() NodeID { return r.node }

// Writer returns the writer of r's present run.
func (r *Replica) Writer() WriterID { return r.writer }

// Vector returns the expanded vector of all that r covers.
func (r *Replica) Vector() Vector { return r.vector.Clone() }

// Lineage returns the writers that r knows. It must not be modified.
func (r *Replica) Lineage() *Lineage { return r.lineage }

// WriterRecord returns the record of w, or nil. It must not be modified.
func (r *Replica) WriterRecord(w WriterID) *WriterRecord { return r.records[w] }

// Restart begins a new run, which writes as writer. Its parents are what r
// covers of its node at its first write.
func (r *Replica) Restart(writer WriterID) {
	r.writer, r.begun, r.spent = writer, false, false
}

// Clone returns a copy, such as a backup or a disk image is. It has the same
// node, and no writer: before it writes it must Restart.
func (r *Replica) Clone() *Replica {
	c := *r
	c.vector, c.lineage, c.records = r.vector.Clone(), r.lineage.Clone(), maps.Clone(r.records)
	c.spent = true
	return &c
}

// Update runs fn as one transaction: all of its writes share one dot, and are
// visible together when Update returns nil. If fn returns an error nothing
// has happened, and Update returns it. A transaction that writes nothing
// leaves no trace. The wall clock is in milliseconds since 1970.
func (r *Replica) Update(wallMillis int64, fn func(Tx) error) error {
	if r.spent || (!r.begun && r.lineage.Has(r.writer)) {
		return fmt.Errorf("%w: %s", ErrWriterSpent, r.writer)
	}
	r.clock.Observe(r.foreign, wallMillis)
	tx := &memTx{
		memView: memView{r.root, r.lineage, wallMillis},
		dot:     Dot{r.writer, r.vector[r.writer] + 1},
		time:    r.clock.Now(wallMillis),
		node:    r.node,
	}
	err := fn(tx)
	tx.ended = true
	if err != nil || tx.root == r.root {
		return err
	}
	if !r.begun {
		if err := r.begin(tx.time); err != nil {
			return err
		}
	}
	r.root = tx.root
	r.vector.Advance(tx.dot.Writer, tx.dot.Seq)
	return nil
}

// begin adds the present writer's record to the lineage.
func (r *Replica) begin(now Timestamp) error {
	rec := &WriterRecord{
		Writer: r.writer, Node: r.node,
		Parents: r.lineage.Past(r.vector).Branches(r.node), Started: now,
	}
	if r.key != nil {
		copy(rec.Signature[:], ed25519.Sign(r.key, rec.SigningBytes()))
	}
	if err := r.lineage.Add(rec); err != nil {
		return err
	}
	r.records[rec.Writer] = rec
	r.begun = true
	return nil
}

// View returns the present state, before anything of it expires. It stays as
// it is when r goes on.
func (r *Replica) View() View { return r.ViewAt(0) }

// ViewAt returns the present state as it reads at a time, in milliseconds
// since 1970. It stays as it is when r goes on.
func (r *Replica) ViewAt(wallMillis int64) View { return &memView{r.root, r.lineage, wallMillis} }

// Bytes returns the canonical encoding of all that r holds: the expanded
// vector, and the records, removals included. Replicas that cover the same
// transactions return equal bytes.
func (r *Replica) Bytes() []byte {
	b := AppendVector(nil, r.vector)
	r.root.scan(AllKeys, func(e Entry) bool {
		b = AppendCanonical(AppendBytes(b, []byte(e.Key)), e.Record)
		return true
	})
	return b
}

// Digest returns the digest of what can be read: see Digest.
func (r *Replica) Digest() [sha256.Size]byte {
	d, err := Digest(r.View())
	if err != nil {
		panic("crdt: a view of memory failed: " + err.Error())
	}
	return d
}

// Digest returns the SHA-256 over the keys of all records of v that have a
// visible event, each with the canonical encoding of these events. Removals
// are left out, and values that expire at any time, since nodes collect them at
// different times; nodes with equal vectors have equal digests. The error is
// that of the scan.
func Digest(v View) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	var buf []byte
	for e, err := range v.Scan(AllKeys) {
		if err != nil {
			return sum, fmt.Errorf("digest: %w", err)
		}
		visible := e.Record.stays()
		if len(visible) == 0 {
			continue
		}
		buf = AppendCanonical(AppendBytes(buf[:0], []byte(e.Key)), visible)
		h.Write(buf)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// memView implements View over a tree that does not change.
type memView struct {
	root    *tree
	lineage *Lineage
	moment  int64
}

func (v *memView) Get(k Key) (Record, error) { return v.root.get(k).At(v.moment), nil }

func (v *memView) Scan(s Span) iter.Seq2[Entry, error] {
	root := v.root // a transaction's own writes do not move the scan under it
	return func(yield func(Entry, error) bool) {
		root.scan(s, func(e Entry) bool { return yield(Entry{e.Key, e.Record.At(v.moment)}, nil) })
	}
}

func (v *memView) Last(s Span) (Entry, bool, error) {
	if t := v.root.last(s); t != nil {
		return Entry{t.Key, t.Record.At(v.moment)}, true, nil
	}
	return Entry{}, false, nil
}

func (v *memView) NodeOf(w WriterID) (NodeID, bool) { return v.lineage.Node(w) }

// memTx implements Tx: it goes from tree to tree, and Update keeps the last.
type memTx struct {
	memView
	dot   Dot
	time  Timestamp
	node  NodeID
	ended bool
}

func (tx *memTx) Put(k Key, value []byte) error { return tx.put(k, value, 0) }

func (tx *memTx) PutUntil(k Key, value []byte, expires int64) error {
	if err := CheckExpires(k, expires); err != nil {
		return err
	}
	return tx.put(k, value, expires)
}

func (tx *memTx) put(k Key, value []byte, expires int64) error {
	if err := checkSize(value); err != nil {
		return err
	}
	return tx.write(k, Event{Dot: tx.dot, Time: tx.time, Value: append([]byte{}, value...), Expires: expires})
}

func (tx *memTx) Remove(k Key) error {
	return tx.write(k, Event{Dot: tx.dot, Time: tx.time, Removed: true})
}

func (tx *memTx) write(k Key, e Event) error {
	if tx.ended {
		return ErrTxEnded
	}
	if err := k.Validate(); err != nil {
		return err
	}
	tx.root = tx.root.put(Entry{k, Record{e}})
	return nil
}

func (tx *memTx) Writer() WriterID { return tx.dot.Writer }

func (tx *memTx) Node() NodeID { return tx.node }

// NodeOf knows the transaction's own writer, whose record comes with the
// commit.
func (tx *memTx) NodeOf(w WriterID) (NodeID, bool) {
	if w == tx.dot.Writer {
		return tx.node, true
	}
	return tx.memView.NodeOf(w)
}
