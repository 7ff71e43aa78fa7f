package sim

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// revoke has a node's credential revoked, of which another is the first to hear.
// Two nodes at least stay members.
func (w *world) revoke(a, b *Node, _ *Draw) {
	left := map[crdt.NodeID]bool{}
	for _, n := range w.nodes {
		if n.id != a.id && !w.out(n) {
			left[n.id] = true
		}
	}
	if a.id == b.id || w.out(b) || !b.running || len(left) < 2 {
		return
	}
	w.revoked[a.id] = true
	b.hearOfRevocation(a.id)
	for _, name := range w.names {
		w.ledger.forgive(name)
	}
}

// out reports whether a node is no member any more.
func (w *world) out(n *Node) bool { return w.revoked[n.id] }

// members returns the nodes that are members.
func (w *world) members() []*Node {
	if len(w.revoked) == 0 {
		return w.nodes
	}
	return slices.DeleteFunc(slices.Clone(w.nodes), w.out)
}

// statement returns the statement that a node is out, which nobody forges here.
func statement(id crdt.NodeID) protocol.Revocation {
	return protocol.Revocation{Node: id, Statement: append([]byte("revoked "), id[:]...)}
}

// hearOfRevocation keeps that a node is out, on disk, and tells the machine.
func (n *Node) hearOfRevocation(id crdt.NodeID) {
	if !n.knowsOut(id) {
		n.revocations = append(n.revocations, statement(id))
	}
	n.step(protocol.Revoked{Revocation: statement(id)})
}

func (n *Node) knowsOut(id crdt.NodeID) bool {
	return slices.ContainsFunc(n.revocations, func(r protocol.Revocation) bool { return r.Node == id })
}

// learnRevocations checks what a peer tells, and keeps it.
func (n *Node) learnRevocations(e protocol.LearnRevocations) {
	for _, s := range e.Statements {
		var id crdt.NodeID
		if len(s) != len("revoked ")+len(id) {
			n.world.failf("revocations", "%s hears a statement of %d bytes", n.name, len(s))
		}
		copy(id[:], s[len("revoked "):])
		n.post(func() { n.hearOfRevocation(id) })
	}
}
