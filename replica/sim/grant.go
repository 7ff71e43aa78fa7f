package sim

import (
	"errors"
	"maps"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// ErrReadOnly says that a node may not write a namespace. That an App's Act
// returns it is no failure.
var ErrReadOnly = errors.New("the node may only read the namespace")

// grant says what a node has to do with a namespace.
type grant uint8

const (
	whole    grant = iota // it reads, writes and subscribes
	readOnly              // its credential grants to read
	none                  // its credential grants nothing; it has one of that name
	apart                 // it might, and does not subscribe
)

// drawGrants draws what a node has to do with each namespace.
func (w *world) drawGrants(n *Node) {
	if n.number == 0 || w.plan.Partial == 0 {
		return
	}
	d := w.draw("grants", uint64(n.number))
	n.grants = credential{}
	for _, name := range w.names {
		if d.In(w.plan.Partial) {
			n.grants[name] = pick(&d, readOnly, readOnly, none, apart)
		}
	}
}

// holds reports whether the node is to hold what others have of a namespace, and
// opens whether it opens one of that name.
func (n *Node) holds(name string) bool { return n.grants[name] == whole || n.grants[name] == readOnly }
func (n *Node) opens(name string) bool { return n.grants[name] != apart }

// credential is what a node's credential grants, as others see it on a link, for
// as long as that lasts. It is never modified.
type credential map[string]grant

func (c credential) MayRead(name string) bool  { return c[name] != none }
func (c credential) MayWrite(name string) bool { return c[name] == whole || c[name] == apart }

// peerGrants returns what the machine is told of the peer's credential.
func (e *end) peerGrants() protocol.Grants {
	if e.credential == nil {
		return nil
	}
	return e.credential
}

// withdraw has a node, and what was copied of it, come back with a credential that
// grants to read a namespace only, if another may still write it. What it wrote
// and nobody has stays with it.
func (w *world) withdraw(a, _ *Node, d *Draw) {
	name := w.names[d.IntN(len(w.names))]
	others := slices.ContainsFunc(w.nodes, func(n *Node) bool { return n.id != a.id && !w.out(n) && n.grants[name] == whole })
	if !others || a.grants[name] != whole {
		return
	}
	for _, n := range w.nodes { // links have the credential that they began with
		if n.id == a.id {
			for _, e := range slices.Clone(n.ends) {
				e.linkDown()
				e.far.linkDown()
			}
		}
	}
	for _, n := range w.nodes {
		if n.id == a.id {
			n.grants = maps.Clone(n.grants)
			if n.grants == nil {
				n.grants = credential{}
			}
			n.grants[name] = readOnly
		}
	}
	w.ledger.forgive(name)
}

// mayWrite wants of a machine that it takes nothing from who may not write, and
// mayRead that it gives nothing to who may not read.
func (n *Node) mayWrite(from *end, name string) {
	if from != nil && !from.credential.MayWrite(name) {
		n.world.failf("grants", "%s takes of %s what %s may not write", n.name, name, from.far.node.name)
	}
}

func (n *Node) mayRead(to *end, name string) {
	if to != nil && !to.credential.MayRead(name) {
		n.world.failf("grants", "%s gives of %s what %s may not read", n.name, name, to.far.node.name)
	}
}

// holders returns the members that hold a namespace.
func (w *world) holders(name string) (all []*space) {
	for _, n := range w.nodes {
		if sp := n.space(name); sp != nil && n.holds(name) && !w.out(n) {
			all = append(all, sp)
		}
	}
	return all
}

// writers returns those of them that may pass on what they hold. What readers
// alone hold stays with them: nobody takes it from them.
func (w *world) writers(name string) []*space {
	return slices.DeleteFunc(w.holders(name), func(sp *space) bool { return sp.reads() })
}

// reads reports whether the node may not write the namespace.
func (sp *space) reads() bool { return sp.node.grants[sp.name] != whole }

// connectAll has every node dial every other, or be dialed by it: where some do
// not pass on what others have, a tree of them does not connect.
func (w *world) connectAll() {
	for i, n := range w.nodes {
		for _, o := range w.nodes[:i] {
			if !slices.Contains(n.targets, o) && !slices.Contains(o.targets, n) {
				n.targets = append(n.targets, o)
			}
		}
	}
}

// someReads reports whether one end of a link may not write a namespace: then what
// it has more than the other is not taken from it.
func (w *world) someReads(n *Node, peer crdt.NodeID, name string) bool {
	i := slices.IndexFunc(w.nodes, func(o *Node) bool { return o.id == peer })
	return n.grants[name] != whole || w.nodes[i].grants[name] != whole
}
