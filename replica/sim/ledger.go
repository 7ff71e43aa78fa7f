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
	last   map[crdt.WriterID]uint64 // its last
}

type spaceLedger struct {
	keys   []crdt.Key // in the order of their first event
	events map[crdt.Key][]made
	acked  crdt.Vector // what was on a disk, and is to last

	saw     map[crdt.Dot]crdt.Vector // before each transaction, in normal form
	touched map[crdt.Dot][]crdt.Key  // by each transaction
	rotten  map[crdt.Key]bool        // some node lost records there, in silence
}

// made is an event, and what its writer saw at its key.
type made struct {
	crdt.Event
	over []crdt.Dot
}

func (l *ledger) of(name string) *spaceLedger {
	s := l.spaces[name]
	if s == nil {
		s = &spaceLedger{
			events: map[crdt.Key][]made{}, acked: crdt.Vector{},
			saw: map[crdt.Dot]crdt.Vector{}, touched: map[crdt.Dot][]crdt.Key{}, rotten: map[crdt.Key]bool{},
		}
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
	l.last[d.Writer] = max(l.last[d.Writer], d.Seq)
	l.of(sp.name).saw[d] = sp.visible.past.Normal()
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
		s.touched[m.Dot] = append(s.touched[m.Dot], k)
	}
}

// acknowledge takes note of what is on the disk of a member. What a reader has
// was on that of another before.
func (l *ledger) acknowledge(sp *space, at *state) {
	if l.world.out(sp.node) || sp.reads() {
		return
	}
	l.of(sp.name).acked.Join(at.past.Expand())
}

// forgive lets what is on no disk any more be lost: a device that is set back
// may have had the only copy.
func (l *ledger) forgive(name string) {
	s := l.of(name)
	s.acked = crdt.Vector{}
	for _, n := range l.world.members() {
		if im, found := n.diskOf(name); found && n.grants[name] == whole {
			s.acked.Join(im.vector)
		}
	}
}

// expect returns the events that k must hold where past covers what it does,
// ordered.
func (s *spaceLedger) expect(k crdt.Key, past *crdt.Past) (live []crdt.Event) {
	var gone []crdt.Dot
	for i := range s.events[k] {
		if m := &s.events[k][i]; past.Covers(m.Dot) {
			live = append(live, m.Event)
			gone = append(gone, m.over...)
		}
	}
	live = slices.DeleteFunc(live, func(e crdt.Event) bool { return slices.Contains(gone, e.Dot) })
	slices.SortFunc(live, func(a, b crdt.Event) int { return a.Dot.Compare(b.Dot) })
	return live
}

// over reports whether one of the events of a record was written over an event,
// or over what was.
func (s *spaceLedger) over(e atKey, rec crdt.Record) bool {
	gone := map[crdt.Dot]bool{}
	for i := range rec {
		gone[rec[i].Dot] = true
	}
	for i := len(s.events[e.key]) - 1; i >= 0; i-- { // what was written over comes before
		if m := &s.events[e.key][i]; gone[m.Dot] {
			for _, d := range m.over {
				gone[d] = true
			}
		}
	}
	return gone[e.Dot]
}
