package protocol

import (
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// Where both list something, it is something that no release has yet, which
// has nothing to say of its own.
func TestALinkSpeaksWhatBothHellosList(t *testing.T) {
	for _, c := range []struct {
		name         string
		ours, theirs []Feature
		both         []Feature
	}{
		{"the first release", []Feature{1, 2}, nil, nil},
		{"a peer without features", []Feature{1, 2}, []Feature{}, nil},
		{"a node without features", nil, []Feature{1, 2}, nil},
		{"features of this node alone", []Feature{1, 2}, []Feature{3}, nil},
		{"a later release", []Feature{17, 12, 12}, []Feature{12, 13, 17, maxFeature}, []Feature{12, 17}},
	} {
		m := New(Config{Node: crdt.NodeID{1}, Features: c.ours})
		m.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
		l := m.byID[1]
		if slices.ContainsFunc(c.ours, l.speaks) {
			t.Errorf("%s: a feature is spoken before the peer's Hello", c.name)
		}
		h := hello{min: 1, max: 1, revocations: m.revoked.hash(), features: c.theirs}
		if effects := m.Step(0, Received{1, new(Stamper).Stamp(h.encode())}); len(effects) != 0 {
			t.Errorf("%s: effects %v", c.name, effects)
		}
		for f := range Feature(20) {
			if got, want := l.speaks(f), slices.Contains(c.both, f); got != want {
				t.Errorf("%s: feature %d is spoken: %v, want %v", c.name, f, got, want)
			}
		}
		if got := m.Links()[0].Features; !slices.Equal(got, c.both) {
			t.Errorf("%s: the status lists %v, want %v", c.name, got, c.both)
		}
	}
}
