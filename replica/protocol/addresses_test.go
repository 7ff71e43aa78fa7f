package protocol

import (
	"reflect"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// places returns an Addresses of nodes 1, 2, ... with so many places each.
func places(counts ...int) []byte {
	var nodes []Whereabouts
	for i, count := range counts {
		w := Whereabouts{Node: crdt.NodeID{byte(i + 1)}, How: KnowsDialed}
		for range count {
			w.Places = append(w.Places, "a:1")
		}
		nodes = append(nodes, w)
	}
	return (&addresses{nodes: nodes}).encode().buf[stampRoom:]
}

func TestAddressesThatBreakTheRulesAreRefused(t *testing.T) {
	head := func(seen string) []byte {
		return crdt.AppendString(crdt.AppendUint(crdt.AppendArray(nil, 3), uint64(codeAddresses)), seen)
	}
	swapped := (&addresses{nodes: []Whereabouts{
		{Node: crdt.NodeID{2}, Places: []string{"a:1"}}, {Node: crdt.NodeID{1}, Places: []string{"a:1"}},
	}}).encode().buf[stampRoom:]
	many := make([]int, MaxWhereabouts+1)
	for i := range many {
		many[i] = 1
	}
	for name, message := range map[string][]byte{
		"a node without places": places(1, 0),
		"too many places":       places(MaxPlaces + 1),
		"too many nodes":        places(many...),
		"nodes out of order":    swapped,
		"an empty place":        (&addresses{nodes: []Whereabouts{{Places: []string{""}}}}).encode().buf[stampRoom:],
		"a long place":          (&addresses{nodes: []Whereabouts{{Places: []string{strings.Repeat("x", MaxPlaceBytes+1)}}}}).encode().buf[stampRoom:],
		"seen at a long place":  crdt.AppendArray(head(strings.Repeat("x", MaxPlaceBytes+1)), 0),
		"half a node":           crdt.AppendBytes(crdt.AppendArray(head(""), 1), make([]byte, 32)),
		"a huge claim":          crdt.AppendArray(head(""), 1<<30),
	} {
		r := crdt.NewReader(message)
		_, fields := readCode(r)
		if a := readAddresses(r, fields); r.Done() == nil {
			t.Errorf("%s: read %+v", name, a)
		}
	}
	// The greatest that are allowed fit a frame.
	for i := range many {
		many[i] = MaxPlaces
	}
	r := crdt.NewReader(places(many[1:]...))
	_, fields := readCode(r)
	if a := readAddresses(r, fields); r.Done() != nil || len(a.nodes) != MaxWhereabouts {
		t.Errorf("read %d nodes, %v", len(a.nodes), r.Err())
	}
}

// Addresses are told, and taken, if both Hellos say so, and not before.
func TestAddressesAreAgreedOn(t *testing.T) {
	tell := TellAddresses{1, "a:1", []Whereabouts{{crdt.NodeID{1}, KnowsOwn, 0, []string{"b:2"}}}}
	for name, theirs := range map[string][]Feature{"agreed": {FeatureAddresses}, "not agreed": {FeatureReconcile}} {
		m := New(Config{Node: crdt.NodeID{1}, Features: []Feature{FeatureReconcile, FeatureAddresses}})
		m.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
		if effects := m.Step(0, tell); len(effects) != 0 {
			t.Fatalf("%s: before the Hello: %v", name, effects)
		}
		var s Stamper
		h := hello{min: 1, max: 1, revocations: m.revoked.hash(), features: theirs}
		greetings := append([]Effect{}, m.Step(0, Received{1, s.Stamp(h.encode())})...)
		sent := append([]Effect{}, m.Step(0, tell)...)
		received := append([]Effect{}, m.Step(0, Received{1, s.Stamp((&addresses{tell.Seen, tell.Nodes}).encode())})...)
		if name == "not agreed" {
			if len(greetings) != 0 || len(sent) != 0 {
				t.Errorf("effects %v, %v", greetings, sent)
			}
			if c, ok := received[0].(Close); !ok || c.Code != CodeProtocol {
				t.Errorf("effects %v", received)
			}
			continue
		}
		if !reflect.DeepEqual(greetings, []Effect{Greeted{1}}) || len(sent) != 1 {
			t.Errorf("effects %v, %v", greetings, sent)
		}
		if !reflect.DeepEqual(received, []Effect{LearnAddresses{1, tell.Seen, tell.Nodes}}) {
			t.Errorf("effects %v", received)
		}
	}
}
