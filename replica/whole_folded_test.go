package replica

import (
	"errors"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// deaden makes it that a node is said to be at an address, where nobody is.
func (n *wholeNode) deaden(address string, who crdt.NodeID) {
	b := n.db.mesh.book
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(address, who, OriginLearned, crdt.NodeID{}, time.Now()).failure = errors.New("no answer")
}

// Of a node that is linked its other addresses say nothing: they are no peers
// that are away. Of one that is not linked they do.
func TestDeadAddressesOfLinkedNodesAreNoPeers(t *testing.T) {
	inBubbleWith(t, 2, simnet.Options{Latency: time.Millisecond}, hubAndSpokes, func(f *wholeFleet) {
		hub, a := f.nodes[0], f.nodes[1]
		f.pass(5 * time.Second)
		a.deaden("old:1", hub.identity.Node())
		a.deaden("away:1", crdt.NodeID{1})
		peers := a.db.mesh.peers()
		if len(peers) != 2 || peers[0].Address != "away:1" || peers[1].Address != hub.address {
			t.Errorf("peers %+v, want those that are away and linked", peers)
		}
		if err := a.db.AddPeer("old:1"); err != nil { // as a directory of before has it
			t.Fatal(err)
		}
		for _, p := range a.db.mesh.peers() {
			if p.Address == "old:1" && p.Connected.IsZero() {
				t.Errorf("a saved address of a linked node is shown as %+v", p)
			}
		}
	})
}
