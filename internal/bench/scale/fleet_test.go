package main

import "testing"

// A fleet comes to hold the same, whatever is lost; one update costs each node
// about one record and what is said of it.
func TestAFleetHoldsTheSame(t *testing.T) {
	for _, loss := range []int{0, 5, 20} {
		l, err := live(30, 30, loss)
		if err != nil {
			t.Fatal(err)
		}
		if b := l.Alone.each(30, 1); b < valueBytes || b > 10*valueBytes {
			t.Errorf("%d%% lost: %.0f bytes to a node for one update", loss, b)
		}
		if l.Back.Hello == 0 || l.Back.Vector == 0 {
			t.Errorf("who comes back says %+v", l.Back)
		}
	}
}

func TestEachNodeOfAMeshHasFourLinks(t *testing.T) {
	f := newFleet(50, 1, 0)
	links := 0
	for _, n := range f.nodes {
		if len(n.ends) < 2 || len(n.ends) > 4 {
			t.Errorf("node %d has %d links", n.number, len(n.ends))
		}
		links += len(n.ends)
	}
	if links < 2*95 {
		t.Errorf("%d ends", links)
	}
}

func BenchmarkFleet(b *testing.B) {
	for b.Loop() {
		if _, err := live(200, 200, 0); err != nil {
			b.Fatal(err)
		}
	}
}
