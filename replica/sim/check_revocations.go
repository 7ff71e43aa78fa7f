package sim

import (
	"fmt"
	"slices"
)

// revocations wants that all members know in the end who is out, and that none is
// linked with one who is. What only such heard who are out themselves got to
// nobody.
var revocations = checker{
	name: "revocations",
	settled: func(w *world, n *Node) string {
		if o := w.unheard(n); o != nil {
			return fmt.Sprintf("does not know that %s was revoked", o.name)
		}
		for _, l := range n.machine.Links() {
			if n.knowsOut(l.Peer) {
				return fmt.Sprintf("is linked with %s, which was revoked", l.Peer.Short())
			}
		}
		return ""
	},
}

// unheard returns a node that was revoked, as a member knows and n does not, or
// nil.
func (w *world) unheard(n *Node) *Node {
	for _, o := range w.nodes {
		known := slices.ContainsFunc(w.members(), func(m *Node) bool { return m.knowsOut(o.id) })
		if known && !n.knowsOut(o.id) {
			return o
		}
	}
	return nil
}
