package protocol

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// revoked is what is known of revocations. Statements only come, so the hash
// of the sorted list names the set.
type revoked struct {
	nodes      map[crdt.NodeID]bool
	statements [][]byte // ordered
}

func (r *revoked) node(n crdt.NodeID) bool { return r.nodes[n] }

// add reports whether the statement is new.
func (r *revoked) add(v Revocation) bool {
	i, found := slices.BinarySearchFunc(r.statements, v.Statement, bytes.Compare)
	if found {
		return false
	}
	r.statements = slices.Insert(r.statements, i, v.Statement)
	if r.nodes == nil {
		r.nodes = map[crdt.NodeID]bool{}
	}
	r.nodes[v.Node] = true
	return true
}

// hash names the set of statements.
func (r *revoked) hash() (sum [16]byte) {
	h := sha256.New()
	var buf []byte
	for _, s := range r.statements {
		buf = crdt.AppendBytes(buf[:0], s)
		h.Write(buf)
	}
	copy(sum[:], h.Sum(nil))
	return sum
}

// revoke closes the links of a node that is out and passes the statement on.
func (m *Machine) revoke(v Revocation) {
	if !m.revoked.add(v) {
		return
	}
	for _, l := range slices.Clone(m.links) {
		if l.peer == v.Node {
			m.close(l, CodeRevoked, "the credential was revoked")
		}
	}
	for _, l := range m.links {
		m.sendRevocations(l, [][]byte{v.Statement})
	}
}

func (m *Machine) sendRevocations(l *link, statements [][]byte) {
	for chunk := range slices.Chunk(statements, MaxStatementsPerFrame) {
		m.send(l, (&revocations{chunk}).encode())
	}
}

// onRevocations has statements checked that are new here.
func (m *Machine) onRevocations(l *link, v revocations) {
	news := slices.DeleteFunc(v.statements, func(s []byte) bool {
		_, found := slices.BinarySearchFunc(m.revoked.statements, s, bytes.Compare)
		return found
	})
	if len(news) > 0 {
		m.emit(LearnRevocations{l.id, news})
	}
}
