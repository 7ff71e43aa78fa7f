package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// newFleet returns three nodes that are served by processes of their own, as
// the demo's are, and have linked up; each with flags of its own, if there are
// any.
func newFleet(t *testing.T, flags ...[]string) (context.Context, *fleet) {
	t.Helper()
	return newFleetIn(t, t.TempDir(), flags...)
}

// newFleetIn is newFleet with the nodes' directories, a to c, in a given one.
func newFleetIn(t *testing.T, root string, flags ...[]string) (context.Context, *fleet) {
	t.Helper()
	binary, err := exec.LookPath("anabranch")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(2+*kills)*patience)
	t.Cleanup(cancel)
	f := &fleet{}
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Error(err)
		}
	})
	for i, name := range []string{"a", "b", "c"} {
		n := &demoNode{name: name, dir: filepath.Join(root, name), binary: binary}
		if flags != nil {
			n.flags = flags[i]
		}
		f.nodes = append(f.nodes, n)
	}
	if err := f.start(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx, f
}

// digests returns the digest of every node.
func (f *fleet) digests(t *testing.T) (all []string) {
	t.Helper()
	for _, n := range f.nodes {
		all = append(all, do(t, n.dir, "digest", demoNamespace, "-o", "raw"))
	}
	return all
}

func TestParallelWritesRejoinToEqualDigests(t *testing.T) {
	ctx, f := newFleet(t)
	if err := f.each(ctx, "offline"); err != nil {
		t.Fatal(err)
	}
	const rounds = 10
	var writers sync.WaitGroup
	for _, n := range f.nodes {
		writers.Go(func() {
			for i := range rounds {
				for _, args := range [][]string{
					{"register", "set", "edge/shared", fmt.Sprintf("%q", n.name)},
					{"register", "set", fmt.Sprintf("edge/own/%s/%d", n.name, i), fmt.Sprint(i)},
					{"counter", "add", "edge/count"},
					{"set", "add", "edge/set", fmt.Sprint(i)},
				} {
					if r := runIn(n.dir, "", args...); r.code != exitOK {
						t.Errorf("%s: %q: %s", n.name, args, r.stderr)
					}
				}
			}
		})
	}
	writers.Wait()
	attr(t, "operations", 4*rounds*len(f.nodes))
	if all := f.digests(t); all[0] == all[1] || all[1] == all[2] {
		t.Errorf("digests %q, while parted and with different writes", all)
	}
	if _, err := f.rejoin(ctx); err != nil {
		t.Fatal(err)
	}
	if all := f.digests(t); all[0] != all[1] || all[1] != all[2] {
		t.Errorf("digests %q, want them equal", all)
	}
	for _, n := range f.nodes {
		if got := do(t, n.dir, "counter", "get", "edge/count"); got != fmt.Sprintln(3*rounds) {
			t.Errorf("%s counts %s", n.name, got)
		}
	}
}

func TestDemoTellsItsStory(t *testing.T) {
	out, err := exec.Command("anabranch", "demo", "-o", "json").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	count, digests := map[string]int{}, map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var e struct {
			Event   string            `json:"event"`
			Digest  map[string]string `json:"digest"`
			Rejoin  rejoin            `json:"rejoin"`
			Outcome outcome           `json:"outcome"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		count[e.Event]++
		switch e.Event {
		case "digest":
			digests[e.Digest["digest"]] = true
		case "rejoin":
			// Two links are enough to agree: the third may come up later.
			if e.Rejoin.Links < 1 || e.Rejoin.Links > 3 || e.Rejoin.Bytes == 0 || e.Rejoin.Millis <= 0 {
				t.Errorf("a rejoin of nothing: %s", line)
			}
		case "outcome":
			if e.Outcome.Why == "" {
				t.Errorf("no reason: %s", line)
			}
		}
	}
	for event, want := range map[string]int{
		"chapter": 3, "write": len(connectedScenes()) + len(partedScenes()), "state": 3, "rejoin": 1,
		"outcome": len(outcomes()), "conflict": 2, "digest": 3, "equal": 1,
	} {
		if count[event] != want {
			t.Errorf("%d events %q, want %d", count[event], event, want)
		}
	}
	if len(digests) != 1 {
		t.Errorf("digests %v, want one", digests)
	}
}
