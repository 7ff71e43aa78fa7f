package replica

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

func whereabouts(node crdt.NodeID, places ...string) protocol.Whereabouts {
	return protocol.Whereabouts{Node: node, How: protocol.KnowsDialed, Places: places}
}

// What a node met is written down, and read again; what is told of it grows
// old, and is told no more.
func TestTheBookIsWrittenDown(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := newBook(crdt.NodeID{1}, "192.0.2.1:7600")
	b.met("10.0.0.2:1", crdt.NodeID{2}, protocol.KnowsSeen, now)
	b.met("10.0.0.3:1", crdt.NodeID{3}, protocol.KnowsDialed, now.Add(-2*time.Hour))
	b.met("10.1.0.3:1", crdt.NodeID{3}, protocol.KnowsSeen, now)
	b.learn(crdt.NodeID{2}, whereabouts(crdt.NodeID{4}, "10.0.0.4:1"), false, now)
	b.remove(crdt.NodeID{5}, true)
	again := newBook(crdt.NodeID{1}, "192.0.2.1:7600")
	again.read(b.write(nil, now)+"\nrubbish\n00 1 2\n", now)
	if got := again.write(nil, now); got != b.write(nil, now) || len(again.all) != 3 || !again.unwanted(crdt.NodeID{5}) {
		t.Errorf("wrote\n%s, read\n%s", b.write(nil, now), got)
	}
	told := map[crdt.NodeID]protocol.Whereabouts{}
	for _, w := range again.tell(crdt.NodeID{9}, 10, nil, time.Time{}, now) {
		told[w.Node] = w
	}
	if len(told) != 2 || told[crdt.NodeID{2}].How != protocol.KnowsSeen {
		t.Errorf("tells %+v", told)
	}
	// Of a node that it dialed, where it dialed it.
	if w := told[crdt.NodeID{3}]; w.How != protocol.KnowsDialed || w.AgeSeconds != 7200 || len(w.Places) != 1 {
		t.Errorf("tells %+v", w)
	}
	if all := again.tell(crdt.NodeID{2}, 10, nil, time.Time{}, now); len(all) != 1 {
		t.Errorf("tells a node of itself: %+v", all)
	}
	if all := again.tell(crdt.NodeID{9}, 1, nil, time.Time{}, now); len(all) != 1 {
		t.Errorf("tells %+v, and one was asked for", all)
	}
	later := now.Add(tellCandidates + time.Second)
	if all := again.tell(crdt.NodeID{9}, 10, map[string]crdt.NodeID{"10.0.0.2:1": {2}}, time.Time{}, later); len(all) != 1 || all[0].AgeSeconds != 0 {
		t.Errorf("a day later it tells %+v", all)
	}
	// By a clock at 1970 nothing is from the future.
	early := newBook(crdt.NodeID{1}, "192.0.2.1:7600")
	early.read(b.write(nil, now), time.Unix(100, 0))
	if all := early.tell(crdt.NodeID{9}, 10, nil, time.Time{}, time.Unix(200, 0)); len(all) != 2 {
		t.Errorf("tells %+v", all)
	}
}

// However many addresses there are, those of the last are written down, and
// everybody whom the operator removed.
func TestWhatIsWrittenOfTheBookIsBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := newBook(crdt.NodeID{1}, "192.0.2.1:7600")
	for i := range byte(200) {
		b.remove(crdt.NodeID{0xff, i}, true)
		b.met(fmt.Sprintf("10.0.0.%d:1", i), crdt.NodeID{200 - i}, protocol.KnowsSeen, now.Add(time.Duration(i)*time.Second))
	}
	now = now.Add(time.Hour)
	again := newBook(crdt.NodeID{1}, "192.0.2.1:7600")
	again.read(b.write(nil, now), now)
	for i := range byte(200) {
		if !again.unwanted(crdt.NodeID{0xff, i}) {
			t.Errorf("removed node %d is wanted again", i)
		}
		if known := !again.at(fmt.Sprintf("10.0.0.%d:1", i)).IsZero(); known != (i >= 200-maxBookAddresses) {
			t.Errorf("address %d is known: %v", i, known)
		}
	}
}

// How long ago a peer was met is on disk as well, whether its link stays up or
// it is linked again and again.
func TestWhenAPeerWasMetIsWrittenDown(t *testing.T) {
	change := func(i int, n *wholeNode) {
		aroundHub(i, n)
		n.options.MeshLinks = -1 // nobody seeks, and is met anew
	}
	inBubbleWith(t, 3, simnet.Options{Latency: time.Millisecond}, change, func(f *wholeFleet) {
		hub, stays, returns := f.nodes[0], f.nodes[1], f.nodes[2]
		for range 8 {
			returns.restart() // before the book is looked at anyway
			f.pass(bookEvery - time.Hour)
		}
		for _, n := range []*wholeNode{stays, returns} {
			n.cutPower()
			known := n.db.mesh.book.known()
			i := slices.IndexFunc(known, func(c candidate) bool { return c.node == hub.db.Node() })
			if i < 0 {
				t.Fatalf("%s does not know its hub", n.address)
			}
			if age := time.Since(known[i].heard); age > 2*bookEvery {
				t.Errorf("%s met its hub %v ago", n.address, age)
			}
		}
	})
}
