package sim

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// ledger knows every event that was ever made, and what each superseded: what
// a record must hold follows from that and a vector, with no merge in between.
type ledger struct {
	world  *world
	spaces map[string]*spaceLedger
	dots   map[crdt.Dot]bool
}

type spaceLedger struct {
	keys   []crdt.Key // in the order of their first event
	events map[crdt.Key][]made
	acked  crdt.Vector // what was on a disk, and is to last
}

// made is an event, and what its writer saw at its key.
type made struct {
	crdt.Event
	over []crdt.Dot
}

func (l *ledger) of(name string) *spaceLedger {
	s := l.spaces[name]
	if s == nil {
		s = &spaceLedger{events: map[crdt.Key][]made{}, acked: crdt.Vector{}}
		l.spaces[name] = s
	}
	return s
}

// issue takes note of a transaction's dot, which nobody may have used before.
func (l *ledger) issue(sp *space, d crdt.Dot) {
	if l.dots[d] {
		l.world.failf("dots", "%s: %s: dot %s:%d is used twice", sp.node.name, sp.name, d.Writer, d.Seq)
	}
	l.dots[d] = true
}

// note takes note of a write of a key: what was there, and what is now.
func (l *ledger) note(name string, k crdt.Key, before, after crdt.Record) {
	s := l.of(name)
	if s.events[k] == nil {
		s.keys = append(s.keys, k)
	}
	for i := range after {
		m := made{Event: after[i]}
		for j := range before {
			m.over = append(m.over, before[j].Dot)
		}
		s.events[k] = append(s.events[k], m)
	}
}

// acknowledge takes note of what is on a disk.
func (l *ledger) acknowledge(name string, at *state) {
	l.of(name).acked.Join(at.past.Expand())
}

// forgive lets what is on no disk any more be lost: a device that is set back
// may have had the only copy.
func (l *ledger) forgive(name string) {
	s := l.of(name)
	s.acked = crdt.Vector{}
	for _, n := range l.world.nodes {
		if im, found := n.diskOf(name); found {
			s.acked.Join(im.vector)
		}
	}
}

// expect returns the events that k must hold where past covers what it does.
func (s *spaceLedger) expect(k crdt.Key, past *crdt.Past) (live []crdt.Event) {
	gone := map[crdt.Dot]bool{}
	for _, m := range s.events[k] {
		if past.Covers(m.Dot) {
			for _, d := range m.over {
				gone[d] = true
			}
		}
	}
	for _, m := range s.events[k] {
		if past.Covers(m.Dot) && !gone[m.Dot] {
			live = append(live, m.Event)
		}
	}
	slices.SortFunc(live, func(a, b crdt.Event) int { return a.Dot.Compare(b.Dot) })
	return live
}
