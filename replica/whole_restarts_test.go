package replica

import (
	"context"
	"flag"
	"runtime"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

var wholeRestarts = flag.Int("whole.restarts", 100, "how many times a node restarts, with a write in each run")

// restartCost is what a namespace costs its nodes, as far as a count can tell.
type restartCost struct {
	hello    int // bytes of a Hello; nothing else is said where nothing differs
	entries  int // of the vector, at both
	branches int // as the status has it
}

func (f *wholeFleet) restartCost() restartCost {
	f.t.Helper()
	f.converge("edge")
	none := f.apart(func() {})
	c := restartCost{hello: total(none) / int(none.FramesSent+none.FramesReceived)}
	for _, n := range f.nodes {
		ns := n.namespace("edge")
		c.entries += len(ns.store.Visible().Normal())
		c.branches += ns.status().Branches
	}
	return c
}

// A node that restarts all the time, and writes in each run, costs what one
// costs that never did: the same bytes to reconnect, one entry in each vector.
func TestRestartsCostWhatOneRunDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds under the race detector")
	}
	inBubbleWith(t, 2, simnet.Options{Latency: 5 * time.Millisecond}, aroundHub, func(f *wholeFleet) {
		b, hits := f.nodes[1], crdt.NewCounter("hits")
		write := func() { b.update("edge", func(tx *Tx) error { return hits.Add(tx, 1) }) }
		write()
		first := f.restartCost()
		if first.entries != 2 || first.branches != 2 {
			t.Fatalf("after one run: %+v", first)
		}
		var heap runtime.MemStats
		for i := range *wholeRestarts {
			b.restart()
			write()
			if i%1000 == 999 {
				f.converge("edge")
				runtime.GC()
				runtime.ReadMemStats(&heap)
				t.Logf("%d restarts: %d MiB live, both nodes and their disks", i+1, heap.HeapAlloc>>20)
			}
		}
		after := f.restartCost()
		t.Logf("after one run %+v, after %d more %+v", first, *wholeRestarts, after)
		if after != first {
			t.Errorf("after one run %+v, after %d more %+v", first, *wholeRestarts, after)
		}
		for i, n := range f.nodes {
			ns := n.namespace("edge")
			err := ns.View(context.Background(), func(v *View) error {
				got, err := hits.Get(v)
				if want := int64(*wholeRestarts) + 1; err != nil || got != want {
					t.Errorf("node %d counts %d, %v, want %d", i, got, err, want)
				}
				return nil
			})
			if runs := ns.status().Writers; err != nil || runs != *wholeRestarts+1 {
				t.Errorf("node %d knows of %d runs, %v", i, runs, err)
			}
		}
	})
}
