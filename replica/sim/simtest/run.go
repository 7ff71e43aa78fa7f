package simtest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/replica/sim/sweep"
)

var (
	seeds = flag.Uint64("sim.seeds", 2000, "how many seeds a simulation runs (-short: a tenth)")
	first = flag.Uint64("sim.first", 1, "the first of them")
	only  = flag.Uint64("sim.seed", 0, "run this seed only, made small if it fails, and tell all that happens")
)

// maxFailures is how many seeds may fail before a test stops.
const maxFailures = 3

// Run runs an App in as many worlds as the flags say, a new one in each, with
// the faults given, or sim.Faults if there are none. It returns what the runs
// did in all, and publishes it as attributes of the test.
func Run(t *testing.T, newApp func() sim.App, faults ...sim.Kind) sim.Count {
	t.Helper()
	if len(faults) == 0 {
		faults = sim.Faults
	}
	if *only != 0 {
		return show(t, *only, newApp, faults)
	}
	if *seeds == 0 || *first == 0 {
		t.Fatal("-sim.seeds and -sim.first begin at 1")
	}
	count := *seeds
	if testing.Short() {
		count = max(count/10, 1)
	}
	done, err := sweep.Run(t.Context(), sweep.Options{
		First: *first, Count: count, Faults: faults, NewApp: newApp, MaxFailures: maxFailures,
	})
	if err != nil {
		t.Error(err)
	}
	for _, f := range done.Failures {
		report(t, f)
	}
	t.Logf("%d worlds: %s", done.Worlds, &done.Count)
	publish(t, &done)
	return done.Count
}

// noFaults are the kinds that are none, and what they are published as.
var noFaults = map[sim.Kind]string{
	sim.Act: "acts", sim.Mend: "mends", sim.Urgent: "priorities", sim.Backup: "backups",
	sim.Collect: "collections", sim.Drop: "namespaces-dropped", sim.Meter: "meters-set",
}

// publish publishes what runs did as attributes of a test.
func publish(t *testing.T, done *sweep.Result) {
	attr := func(name string, n uint64) { t.Attr(name, strconv.FormatUint(n, 10)) }
	for name, n := range map[string]int{
		"seeds": done.Worlds, "violations": len(done.Failures), "operations": done.Transactions,
		"steps": done.Steps, "states-checked": done.Checks, "digests-compared": done.Digests,
		"deltas-merged": done.Deltas, "snapshots-compared": done.Reconciles, "removals-collected": done.Collected,
		"namespaces-rotten": done.Rotten, "namespaces-healed": done.Healed,
	} {
		attr(name, uint64(n))
	}
	attr("frames", done.Frames)
	for kind, name := range noFaults {
		attr(name, uint64(done.Happened[kind]))
	}
	for name, n := range done.Injected() {
		attr("fault."+name, uint64(n))
	}
}

// report prints how to see a failure again.
func report(t *testing.T, f sweep.Failure) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	if f.Small == nil {
		t.Errorf("%v\nit does not fail again: the App draws chance from elsewhere", f)
		return
	}
	text, _ := f.Small.Plan.MarshalText()
	t.Errorf("%v\nto see it, made small, and keep it: go test -run '^%s$' %s -sim.seed %d\nwhat is left of it:\n%s\n%v",
		f, t.Name(), dir, f.Seed, text, f.Small)
}

// show runs one seed, and prints all that happens in it; if it fails, made small
// and kept in a file.
func show(t *testing.T, seed uint64, newApp func() sim.App, faults []sim.Kind) sim.Count {
	t.Helper()
	p, failure := sim.Shrink(sim.NewPlan(seed, faults), newApp)
	if failure != nil {
		name, err := keep(p, failure)
		if err != nil {
			t.Error(err)
		}
		text, _ := p.MarshalText()
		t.Errorf("%v\n%s\nThis is kept in %s, for a test with simtest.Replay.", failure, text, name)
	}
	count, _ := sim.Run(p, newApp(), func(line string) { fmt.Println(line) })
	return count
}

// keep writes a plan that fails where Replay finds it.
func keep(p *sim.Plan, f *sim.Failure) (name string, err error) {
	text, err := p.MarshalText()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		return "", err
	}
	name = filepath.Join("testdata", fmt.Sprintf("seed-%d-%s.txt", p.Seed, strings.ReplaceAll(f.Check, " ", "-")))
	return name, os.WriteFile(name, append(fmt.Appendf(nil, "# %s\n", f.Check), text...), 0o644)
}

// Replay runs each plan that a file of a pattern holds, testdata/*.txt as a rule:
// what failed once, made small. It fails if there is none.
func Replay(t *testing.T, pattern string, newApp func() sim.App) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = errors.New("no file")
	}
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var p sim.Plan
			text, err := os.ReadFile(file)
			if err == nil {
				err = p.UnmarshalText(text)
			}
			if err == nil {
				_, err = sim.Run(&p, newApp(), nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	t.Attr("transcripts", strconv.Itoa(len(files)))
}
