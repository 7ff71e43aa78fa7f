package main

import (
	"context"
	"testing"
	"time"
)

// Three daemons, one with a clock at 1970 and one ten years ahead: they link,
// the last write wins where it saw the others, a value that expires is read by
// each by its own clock, and each says whose clock is off.
func TestDaemonsWithWrongClocksConverge(t *testing.T) {
	const tenYears = 10 * 365 * 24 * time.Hour
	since1970 := time.Duration(time.Now().Unix()) * time.Second
	ctx, f := newFleet(t, nil,
		[]string{"--clock-offset", (-since1970).String()}, []string{"--clock-offset", tenYears.String()})
	right, old, ahead := f.nodes[0], f.nodes[1], f.nodes[2]
	step := func() {
		t.Helper()
		if _, err := f.converge(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []*demoNode{ahead, old, right} {
		do(t, n.dir, "register", "set", "edge/shared", `"`+n.name+`"`)
		do(t, n.dir, "counter", "add", "edge/count")
		step()
	}
	do(t, right.dir, "register", "set", "edge/short", "1", "--ttl", "1h")
	do(t, right.dir, "set", "add", "edge/gone", "1", "2")
	do(t, right.dir, "set", "remove", "edge/gone", "1")
	step()
	for _, n := range f.nodes {
		if got := do(t, n.dir, "register", "get", "edge/shared", "-o", "raw"); got != "a\n" {
			t.Errorf("%s reads %q, not what was written last", n.name, got)
		}
		if got := do(t, n.dir, "counter", "get", "edge/count"); got != "3\n" {
			t.Errorf("%s counts %q", n.name, got)
		}
		if got := do(t, n.dir, "set", "list", "edge/gone"); got != "2\n" {
			t.Errorf("%s lists %q", n.name, got)
		}
		r := runIn(n.dir, "", "register", "get", "edge/short")
		if want := map[bool]int{true: exitMissing, false: exitOK}[n == ahead]; r.code != want {
			t.Errorf("%s reads what expires in an hour with exit code %d", n.name, r.code)
		}
	}
	if all := f.digests(t); all[0] != all[1] || all[1] != all[2] {
		t.Errorf("digests %q, want them equal", all)
	}
	awaitSkew(ctx, t, f, right, -since1970, tenYears)
	awaitSkew(ctx, t, f, old, since1970, since1970+tenYears)
	awaitSkew(ctx, t, f, ahead, -tenYears, -tenYears-since1970)
	attr(t, "operations", 2*len(f.nodes)+3)
	attr(t, "fault.clock", 2)
}

// awaitSkew waits until a node says of its peers that their clocks are off by
// as much, in any order.
func awaitSkew(ctx context.Context, t *testing.T, f *fleet, n *demoNode, off ...time.Duration) {
	t.Helper()
	for {
		var r statusRow
		err := call(ctx, n.globals(), "status", struct{}{}, func(row statusRow) error {
			r = row
			return nil
		})
		if err != nil {
			t.Fatalf("%s: its clock is not compared: %v", n.name, err)
		}
		said := map[string]int64{}
		for _, p := range r.Peers {
			if p.Clock != nil && p.Clock.Skewed && p.State == "connected" {
				said[p.Node] = p.Clock.OffsetMillis
			}
		}
		notices := 0
		for _, one := range r.Notices {
			if one.Kind == "skew" {
				notices++
			}
		}
		if len(said) == len(off) && notices >= len(off) {
			for _, at := range said {
				if near(at, off[0]) == near(at, off[1]) {
					t.Errorf("%s says that a clock is off by %d ms, want one of %v", n.name, at, off)
				}
			}
			if r.Clock == nil || r.Clock.Agreed || r.Clock.Skewed {
				t.Errorf("%s says of its own clock: %+v", n.name, r.Clock)
			}
			return
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			t.Fatalf("%s says %v, with %d notices: want %v", n.name, said, notices, off)
		}
	}
}

// near reports whether an offset is as wanted, to ten seconds.
func near(millis int64, want time.Duration) bool {
	d := millis - want.Milliseconds()
	return max(d, -d) < 10_000
}
