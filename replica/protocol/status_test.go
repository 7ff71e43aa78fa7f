package protocol

import (
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

func TestStatusTellsWhoLacksWhat(t *testing.T) {
	w := newSimWorld(1, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.connect(a, b)
	w.settle()
	want := SessionStatus{Namespace: "alpha", Here: true, There: true, Met: true, Live: true}
	check := func(when string, n *simNode, want SessionStatus) {
		t.Helper()
		links := n.m.Links()
		if len(links) != 1 || !links[0].Greeted || links[0].Peer == n.id || len(links[0].Namespaces) != 1 {
			t.Fatalf("%s: %+v", when, links)
		}
		if got := links[0].Namespaces[0]; got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	check("at rest", a, want)
	a.spaces["alpha"].write(w.keys[:1], false, []byte("v"))
	a.spaces["alpha"].sync()
	a.step(Durable{"alpha", a.spaces["alpha"].durable()})
	want.PeerLacks, want.Sending = 1, true
	check("after a commit", a, want)
	w.settle()
	want.PeerLacks, want.Sending = 0, false
	check("at rest again", a, want)
	check("at rest again", b, want)

	// A peer tells of something that it does not send.
	b.m.byID[b.m.links[0].id].seq = SeqChecker{}
	have := encodeHave(1, []crdt.Dot{{Writer: sampleWriter(9), Seq: 1}})
	b.step(Received{b.m.links[0].id, new(Stamper).Stamp(have)})
	w.now += FetchDelayMillis
	w.fireDue()
	want.Lacking, want.Fetching = 1, true
	check("something is lacking", b, want)
}
