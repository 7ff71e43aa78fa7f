package protocol

import (
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// A peer without a version in common, or of another cluster, is closed at its
// Hello, with a code that says so; the transport's word that it is a member does
// not count here.
func TestAHelloThatFitsNotIsRefused(t *testing.T) {
	ours := [32]byte{0: 1, 31: 1}
	for name, tc := range map[string]struct {
		hello hello
		code  Code
	}{
		"later versions only":      {hello{min: Version + 1, max: Version + 2, cluster: ours}, CodeVersion},
		"earlier versions only":    {hello{min: 0, max: MinVersion - 1, cluster: ours}, CodeVersion},
		"no version at all":        {hello{min: Version + 1, max: Version, cluster: ours}, CodeVersion},
		"another cluster":          {hello{min: MinVersion, max: Version, cluster: [32]byte{2}}, CodeCluster},
		"no cluster":               {hello{min: MinVersion, max: Version}, CodeCluster},
		"a cluster cut at its end": {hello{min: MinVersion, max: Version, cluster: [32]byte{1}}, CodeCluster},
	} {
		m := New(Config{Node: crdt.NodeID{1}, Cluster: ours})
		m.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
		var s Stamper
		effects := m.Step(0, Received{1, s.Stamp(tc.hello.encode())})
		if len(effects) != 1 || len(m.links) != 0 {
			t.Errorf("%s: effects %v, %d links", name, effects, len(m.links))
			continue
		}
		if c, ok := effects[0].(Close); !ok || c.Code != tc.code {
			t.Errorf("%s: effect %v, want a close with %v", name, effects[0], tc.code)
		}
	}
}
