package protocol

import (
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// meet brings up a link from an instance of node 1, which says Hello and that
// it has entries.
func meet(m *Machine, now int64, id LinkID, at Instance, entries crdt.Vector) (*Stamper, []Effect) {
	m.Step(now, LinkUp{Link: id, Peer: crdt.NodeID{1}, Instance: at})
	stamp := &Stamper{}
	h := hello{min: 1, max: 1, revocations: m.revoked.hash(), namespaces: []greeting{{"flat", entries.Hash()}}}
	effects := slices.Clone(m.Step(now, Received{id, stamp.Stamp(h.encode())}))
	effects = append(effects, m.Step(now, Received{id, stamp.Stamp(encodeVector(1, 0, entries.Entries()))})...)
	return stamp, effects
}

// asked returns the link on which a Want is among the effects, or 0.
func asked(effects []Effect) LinkID {
	for _, e := range effects {
		if s, ok := e.(Send); ok {
			if c, _ := readCode(crdt.NewReader(s.Frame.buf[stampRoom:])); c == codeWant {
				return s.Link
			}
		}
	}
	return 0
}

// A node that starts again while it is being asked is asked anew once its link
// of before was silent for a while; a copy of it that comes up beside it takes
// nothing from it.
func TestALinkThatMayBeDeadIsNotWaitedForAsLong(t *testing.T) {
	for _, alive := range []bool{false, true} {
		m := New(Config{Node: crdt.NodeID{2}})
		m.Step(0, Opened{flat{}, flat{}.Past(nil)})
		stamp, effects := meet(m, 1, 1, Instance{1}, manyEntries(0, 1))
		if asked(effects) != 1 {
			t.Fatalf("%v", effects)
		}
		if _, effects = meet(m, 20_000, 2, Instance{2}, manyEntries(0, 1)); asked(effects) != 0 {
			t.Fatalf("two are asked at a time: %v", effects)
		}
		if alive {
			m.Step(21_000, Received{1, stamp.Stamp(encodeHave(1, manyEntries(0, 1).Entries()))})
		}
		if got := asked(m.Step(20_000+SilentTimeoutMillis-1, Tick{})); got != 0 {
			t.Errorf("alive %v: link %d is asked early", alive, got)
		}
		got := asked(m.Step(20_000+SilentTimeoutMillis, Tick{}))
		if want := map[bool]LinkID{false: 2, true: 0}[alive]; got != want {
			t.Errorf("alive %v: link %d is asked, want %d", alive, got, want)
		}
	}
}

// Of links that all have what is lacking, one that may be dead is asked last.
func TestALinkThatMayBeDeadIsAskedLast(t *testing.T) {
	m := New(Config{Node: crdt.NodeID{2}})
	m.Step(0, Opened{flat{}, flat{}.Past(nil)})
	meet(m, 0, 1, Instance{1}, crdt.Vector{})
	stamp, _ := meet(m, 0, 2, Instance{2}, crdt.Vector{})
	have := encodeHave(1, manyEntries(0, 1).Entries())
	first := Stamper{m.byID[1].seq.last}
	m.Step(1, Received{1, first.Stamp(have)})
	m.Step(1, Received{2, stamp.Stamp(have)})
	m.byID[1].silent = true // before its Want was due
	if got := asked(m.Step(1+FetchDelayMillis, Tick{})); got != 2 {
		t.Errorf("link %d is asked", got)
	}
}

// Two processes of one node that no instance tells apart are one that dialed
// itself.
func TestWithoutInstancesANodeIsItself(t *testing.T) {
	m := New(Config{Node: crdt.NodeID{2}})
	effects := m.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
	if c, ok := effects[0].(Close); !ok || c.Code != CodeSelf {
		t.Errorf("%v", effects)
	}
}
