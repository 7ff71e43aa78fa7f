package replica

import (
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
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
	again.read(b.write()+"\nrubbish\n00 1 2\n", now)
	if got := again.write(); got != b.write() || len(again.all) != 3 || !again.unwanted(crdt.NodeID{5}) {
		t.Errorf("wrote\n%s, read\n%s", b.write(), got)
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
	early.read(b.write(), time.Unix(100, 0))
	if all := early.tell(crdt.NodeID{9}, 10, nil, time.Time{}, time.Unix(200, 0)); len(all) != 2 {
		t.Errorf("tells %+v", all)
	}
}
