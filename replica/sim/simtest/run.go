package simtest

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/replica/sim/sweep"
)

var (
	seeds = flag.Uint64("sim.seeds", 2000, "how many seeds a simulation runs (-short: a tenth)")
	first = flag.Uint64("sim.first", 1, "the first of them")
	only  = flag.Uint64("sim.seed", 0, "run this seed only, and tell all that happens")
)

// maxFailures is how many seeds may fail before a test stops.
const maxFailures = 3

// Run runs an App in as many worlds as the flags say, a new one in each, with
// the faults given, or sim.Faults if there are none. It returns what the runs
// did in all.
func Run(t *testing.T, newApp func() sim.App, faults ...sim.Kind) sim.Count {
	t.Helper()
	if len(faults) == 0 {
		faults = sim.Faults
	}
	if *only != 0 {
		return show(t, *only, newApp, faults)
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
var noFaults = map[sim.Kind]string{sim.Act: "acts", sim.Mend: "mends", sim.Urgent: "priorities"}

// publish publishes what runs did as attributes of a test.
func publish(t *testing.T, done *sweep.Result) {
	attr := func(name string, n uint64) { t.Attr(name, strconv.FormatUint(n, 10)) }
	for name, n := range map[string]int{
		"seeds": done.Worlds, "violations": len(done.Failures), "operations": done.Transactions,
		"steps": done.Steps, "states-checked": done.Checks, "digests-compared": done.Digests,
		"deltas-merged": done.Deltas, "snapshots-compared": done.Reconciles, "removals-collected": done.Collected,
	} {
		attr(name, uint64(n))
	}
	attr("frames", done.Frames)
	for kind, n := range done.Happened {
		attr(cmp.Or(noFaults[kind], "fault."+string(kind)), uint64(n))
	}
}

// report prints how to see a failure again.
func report(t *testing.T, f sweep.Failure) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	again := fmt.Sprintf("to see it: go test -run '^%s$' %s -sim.seed %d", t.Name(), dir, f.Seed)
	if f.Small == nil {
		t.Errorf("%v\nit does not fail again: the App draws chance from elsewhere", f)
		return
	}
	text, _ := f.Small.Plan.MarshalText()
	t.Errorf("%v\n%s\nmade small, it is:\n%s\n%v", f, again, text, f.Small)
}

// show runs one seed, and prints all that happens in it; if it fails, made small.
func show(t *testing.T, seed uint64, newApp func() sim.App, faults []sim.Kind) sim.Count {
	t.Helper()
	p, failure := sim.Shrink(sim.NewPlan(seed, faults), newApp)
	count, _ := sim.Run(p, newApp(), func(line string) { fmt.Println(line) })
	if failure != nil {
		text, _ := p.MarshalText()
		t.Errorf("%v\n%s", failure, text)
	}
	return count
}
