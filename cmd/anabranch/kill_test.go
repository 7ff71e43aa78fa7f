package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var kills = flag.Int("kills", 1, "how often a node is killed under load")

// attr publishes a figure of a test.
func attr(t *testing.T, name string, n int) {
	t.Helper()
	t.Attr(name, strconv.Itoa(n))
}

// Nodes are killed in the middle of writes, on disk and on the wire, one after
// the other. What was acknowledged, by this test's own record, is there after the
// restart and everywhere in the end; a counter lies between what was acknowledged
// and what was tried, as Maelstrom has it for operations of unknown outcome.
func TestKilledNodesKeepWhatTheyAcknowledged(t *testing.T) {
	ctx, f := newFleet(t)
	sum := &written{}
	for i := range *kills {
		victim := f.nodes[(1+i)%len(f.nodes)]
		f.killUnderLoad(t, victim, i, sum)
		if err := victim.serve(ctx); err != nil {
			t.Fatal(err)
		}
		victim.wantAll(t, sum.from(victim))
	}
	if _, err := f.converge(ctx); err != nil {
		t.Fatal(err)
	}
	for _, n := range f.nodes {
		n.wantAll(t, sum.from(f.nodes...))
		count, err := strconv.Atoi(strings.TrimSpace(do(t, n.dir, "counter", "get", "edge/count")))
		if err != nil || count < sum.added || count > sum.added+sum.unsure {
			t.Errorf("%s counts %d (%v), with %d adds acknowledged and %d of unknown outcome", n.name, count, err, sum.added, sum.unsure)
		}
	}
	if all := f.digests(t); all[0] != all[1] || all[1] != all[2] {
		t.Errorf("digests %q, want them equal", all)
	}
	attr(t, "operations", sum.added+len(sum.from(f.nodes...)))
	attr(t, "unknown-outcomes", sum.unsure)
	attr(t, "fault.kill", *kills)
}

// written is what writers know of their writes.
type written struct {
	mu     sync.Mutex
	paths  map[*demoNode][]string // acknowledged registers
	added  int                    // acknowledged adds to the counter
	unsure int                    // adds of which no answer came
}

func (w *written) from(nodes ...*demoNode) (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range nodes {
		all = append(all, w.paths[n]...)
	}
	return all
}

// Of a node that is killed four writers are in the middle of something, of each
// other one; and it is killed when its own have written 20 times each.
const (
	victimWriters = 4
	beforeKill    = 20
)

// killUnderLoad kills a node while all are written to.
func (f *fleet) killUnderLoad(t *testing.T, victim *demoNode, round int, sum *written) {
	t.Helper()
	var writing sync.WaitGroup
	enough, stop := make(chan struct{}, victimWriters), make(chan struct{})
	for _, n := range f.nodes {
		writers, told := 1, (chan struct{})(nil)
		if n == victim {
			writers, told = victimWriters, enough
		}
		for w := range writers {
			writing.Go(func() { sum.write(t, n, fmt.Sprintf("kept/%s/%d/%d", n.name, round, w), told, stop) })
		}
	}
	for range victimWriters {
		<-enough
	}
	victim.kill(t)
	close(stop)
	writing.Wait()
}

// write writes registers and a counter in turn until it is told to stop, or gets
// no answer, and tells when it has done so for a while.
func (w *written) write(t *testing.T, n *demoNode, below string, enough, stop chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		if i == beforeKill && enough != nil {
			enough <- struct{}{}
		}
		path := fmt.Sprintf("%s/%d", below, i)
		registered := runIn(n.dir, "", "register", "set", "edge/"+path, fmt.Sprint(i)).code == exitOK
		added := registered && runIn(n.dir, "", "counter", "add", "edge/count").code == exitOK
		w.note(n, path, registered, added)
		if !added {
			if i < beforeKill {
				t.Errorf("%s takes no writes, before it was killed", n.name)
				enough <- struct{}{}
			}
			return
		}
	}
}

func (w *written) note(n *demoNode, path string, registered, added bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paths == nil {
		w.paths = map[*demoNode][]string{}
	}
	switch {
	case added:
		w.added++
	case registered:
		w.unsure++
	}
	if registered {
		w.paths[n] = append(w.paths[n], path)
	}
}

// kill ends the process as a power cut does.
func (n *demoNode) kill(t *testing.T) {
	t.Helper()
	if err := n.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = n.process.Wait() // killed, as was asked
}

// wantAll fails for every path that n does not hold.
func (n *demoNode) wantAll(t *testing.T, paths []string) {
	t.Helper()
	there := map[string]bool{}
	err := call(context.Background(), n.globals(), "scan", address{Namespace: demoNamespace}, func(r leafRow) error {
		there[r.Path] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if !there[p] {
			t.Errorf("%s lost %s, which was acknowledged", n.name, p)
		}
	}
}
