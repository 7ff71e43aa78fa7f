package protocol

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// space is a namespace that is open here.
type space struct {
	ns       Namespace
	name     string
	priority Priority
	own      *crdt.Past  // what is durable
	normal   crdt.Vector // own in normal form; replaced, never changed
	// mine are the entries of normal that are of this node's writers. Who
	// covers them covers all that this node wrote.
	mine     crdt.Vector
	others   *crdt.Past // what some peer told that it covers
	advances int        // counts the changes of own

	sessions []*session // in the order in which they began
	fetch    *fetch     // the one Want that is answered now
	coming   []*job     // deltas that came whole and are not yet applied
	nextAt   int64      // when pull has something to do, 0: never

	proposed   *session // whose digest is compared with ours
	verified   int64    // when one that we proposed was compared last, 0: never, or before a heal
	verifiedAs int      // the advances then
	verifyAt   int64    // when verify has something to do, 0: never
	healAt     int64    // when to look at heals, 0: never
	heldAt     int64    // when to look at what is held, 0: never
}

func (m *Machine) space(name string) *space {
	i, ok := m.findSpace(name)
	if !ok {
		return nil
	}
	return m.spaces[i]
}

func (m *Machine) findSpace(name string) (int, bool) {
	return slices.BinarySearchFunc(m.spaces, name, func(sp *space, name string) int {
		return strings.Compare(sp.name, name)
	})
}

// opened takes in a namespace and announces it to those who may read it.
func (m *Machine) opened(ev Opened) {
	name := ev.Namespace.Name()
	i, ok := m.findSpace(name)
	if ok {
		panic(fmt.Sprintf("protocol: namespace %q was opened twice", name))
	}
	sp := &space{ns: ev.Namespace, name: name, priority: m.priorities[name], own: ev.Namespace.Past(nil), normal: crdt.Vector{}, mine: crdt.Vector{}, others: ev.Namespace.Past(nil)}
	m.advance(sp, ev.Durable)
	m.spaces = slices.Insert(m.spaces, i, sp)
	for _, l := range slices.Clone(m.links) {
		if l.carries(sp) {
			m.present(l, sp)
		}
	}
}

// closed forgets a namespace. What is still under way for it comes to nothing.
func (m *Machine) closed(name string) {
	i, ok := m.findSpace(name)
	if !ok {
		return
	}
	sp := m.spaces[i]
	m.spaces = slices.Delete(m.spaces, i, i+1)
	for _, j := range sp.coming {
		m.emit(Cancel{j.id})
	}
	sp.coming = nil
	for _, s := range slices.Clone(sp.sessions) {
		m.holdBack(s)
	}
	maps.DeleteFunc(m.jobs, func(_ JobID, j *job) bool {
		return j.s.space == sp && j != j.s.building // a Build may have kept a snapshot
	})
}

// durable takes note of what became durable here, and tells peers.
func (m *Machine) durable(ev Durable) {
	if sp := m.space(ev.Namespace); sp != nil && m.advance(sp, ev.Past) {
		m.tendAll(sp)
	}
}

// tendAll does what a change of the namespace's vector asks for.
func (m *Machine) tendAll(sp *space) {
	m.deliver(sp)
	for _, s := range slices.Clone(sp.sessions) {
		m.tend(s)
	}
	m.pull(sp)
}

// advance joins p into what is durable, and reports whether that changed.
func (m *Machine) advance(sp *space, p *crdt.Past) bool {
	changed := sp.own.Behind(p)
	if len(changed) == 0 {
		return false
	}
	began := slices.ContainsFunc(changed, func(e crdt.Dot) bool { return sp.own.Seq(e.Writer) == 0 })
	sp.own.Join(p)
	if began {
		sp.normal = sp.own.Normal()
	} else { // what more of a writer implies is what some of it did
		sp.normal = joined(sp.normal, vectorOf(changed))
	}
	for _, e := range changed {
		if n, ok := sp.ns.NodeOf(e.Writer); ok && n == m.node {
			sp.mine.Advance(e.Writer, e.Seq)
		}
	}
	sp.advances++
	maps.DeleteFunc(sp.mine, func(w crdt.WriterID, _ uint64) bool { return sp.normal[w] == 0 })
	for _, s := range sp.sessions {
		maps.DeleteFunc(s.missing, func(w crdt.WriterID, seq uint64) bool { return sp.own.Seq(w) >= seq })
	}
	return true
}
