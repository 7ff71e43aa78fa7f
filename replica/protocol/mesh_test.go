package protocol

import (
	"testing"
)

// mesh returns nodes in sync that are linked all with all.
func mesh(seed uint64, nodes int) *simWorld {
	w := newSimWorld(seed, 0)
	w.features = func(*simNode) []Feature { return []Feature{FeatureSpare, FeaturePut} }
	w.addNodes(nodes)
	w.strict = true
	for i, n := range w.nodes {
		for _, o := range w.nodes[:i] {
			w.connect(n, o)
		}
	}
	w.settle()
	w.stats = simStats{}
	return w
}

func TestInAMeshAPayloadReachesEachNodeOnce(t *testing.T) {
	for _, nodes := range []int{2, 3, 5, 8} {
		for seed := range uint64(50) {
			w := mesh(seed, nodes)
			for i := range 5 {
				w.nodes[i%nodes].spaces["alpha"].write(w.keys[:1], false, []byte("v"))
				w.settle()
			}
			w.checkConverged()
			want := simStats{deltas: 5 * (nodes - 1), events: 5 * (nodes - 1)}
			if got := w.stats; got.deltas != want.deltas || got.events != want.events || got.stale != 0 {
				t.Fatalf("%d nodes, seed %d: 5 writes took %d deltas with %d events, %d of them twice; want %d",
					nodes, seed, got.deltas, got.events, got.stale, want.deltas)
			}
		}
	}
}

// A node that comes back has missed the same from all of its neighbours, and
// gets it from one.
func TestANodeThatComesBackIsServedByOneNeighbour(t *testing.T) {
	for seed := range uint64(200) {
		w := mesh(seed, 5)
		away := w.nodes[4]
		for _, l := range w.links {
			if l.nodes[0] == away || l.nodes[1] == away {
				l.cut()
			}
		}
		w.settle()
		for i, n := range w.nodes[:4] {
			n.spaces["alpha"].write(w.keys[i:i+1], false, []byte("v"))
			w.settle()
		}
		away.spaces["alpha"].write(w.keys[:1], false, []byte("w"))
		w.settle()
		w.stats = simStats{}
		for _, n := range w.nodes[:4] {
			w.connect(n, away)
		}
		w.settle()
		w.checkConverged()
		// Four events come from one neighbour. Each of the four either asks for
		// the fifth, or gets it with what else its neighbour has.
		if got := w.stats; got.events-got.stale != 4+4 || got.stale > 4 {
			t.Fatalf("seed %d: %d events, %d of them twice", seed, got.events, got.stale)
		}
	}
}

// While all write at once, and here in any order, a delta may bring what is on
// its way from another until it is spared. That costs bytes, so the test says
// how many; TestAPayloadReachesEachNodeOnce in package replica has the order of
// a network.
func TestInABusyMeshMostPayloadsCrossOnce(t *testing.T) {
	for _, nodes := range []int{3, 4} {
		var total simStats
		for seed := range uint64(100) {
			w := mesh(seed, nodes)
			for range 20 {
				for i, n := range w.nodes {
					n.spaces["alpha"].write(w.keys[i:i+1], false, []byte("v"))
				}
				for range 40 {
					if ms := w.moves(nil); len(ms) > 0 {
						w.do(ms[w.rng.IntN(len(ms))])
					}
				}
			}
			w.settle()
			w.checkConverged()
			total.events += w.stats.events
			total.stale += w.stats.stale
			total.deltas += w.stats.deltas
		}
		twice := float64(total.stale) / float64(total.events)
		t.Logf("%d nodes: %d deltas, %d events, %.0f%% of them known already", nodes, total.deltas, total.events, 100*twice)
		if twice > 0.4 {
			t.Errorf("%d nodes: %.0f%% of what crossed a link was known already", nodes, 100*twice)
		}
	}
}
