package replica

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"

	"github.com/anabranch-db/anabranch/replica/sim"
)

// The second tier of simulation: whole nodes, with Pebble on disks that forget
// what was not synced, and QUIC with mutual TLS on a network of packets, live
// through what a plan of package sim has happen to them. What package sim
// models is here what ships. In the end, when all faults are over, they hold
// the same within a bounded time: what the history says must be read, and all
// that any of them had on a disk which was not lost.
//
// A run follows from its seed but for what the Go runtime leaves to chance: in
// which order timers of one instant fire, which of two events a select takes, and
// where a goroutine is interrupted. With the runtime of internal/steady, it leaves
// nothing, and a run can be had again byte by byte; -v prints a hash of it.

var (
	wholeSeeds = flag.Uint64("whole.seeds", 200, "how many seeds whole nodes live through (-short: a tenth)")
	wholeOnly  = flag.Uint64("whole.seed", 0, "whole nodes live through this seed only, made small if it fails, and tell all that happens")
)

// seedFaults are the kinds of things that can happen to whole nodes, beside
// what their users do. Break is another address for a node, Tamper another rate
// at which its packets get lost, and Fail an error of its disk. Of each kind, half
// of the seeds have none.
var seedFaults = []sim.Kind{
	sim.Cut, sim.Mend, sim.Break, sim.Tamper, sim.Crash, sim.Clone, sim.Backup,
	sim.Restore, sim.Drop, sim.Clock, sim.Collect, sim.Urgent, sim.Fail, seedPower, seedFull,
	seedUnruly, seedRot,
}

// Kinds that package sim does not have.
const (
	seedPower  sim.Kind = "power"  // A loses power at an operation of its disk
	seedFull   sim.Kind = "full"   // A's disk is full, or not any more
	seedUnruly sim.Kind = "unruly" // packets of A come twice, late, and again
	seedRot    sim.Kind = "rot"    // a bit of A's disk is flipped while A does not run
)

// maxSeedFailures is how many seeds may fail before the test stops.
const maxSeedFailures = 3

func TestWholeNodesLiveThroughEverySeed(t *testing.T) {
	if *wholeOnly != 0 {
		showSeed(t, *wholeOnly)
		return
	}
	count := *wholeSeeds
	if testing.Short() {
		count = max(count/10, 1)
	}
	failures, sum := 0, seedFigures{}
	for seed := *wholeFirst; seed < *wholeFirst+count && failures < maxSeedFailures; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			w := live(t, seedPlan(seed), nil)
			sum.add(w)
			t.Logf("%d packets, hash %x", w.wire.packets, w.wire.final)
			if w.verdict.failure != "" {
				failures++
				sum["violations"]++
				t.Errorf("%s\nto see it: %s test ./replica -run '^TestWholeNodesLiveThroughEverySeed$' -whole.seed %d", w.verdict.failure, goCommand(t), seed)
			}
		})
	}
	sum.publish(t)
}

// seedPlan draws a plan for up to four nodes.
func seedPlan(seed uint64) *sim.Plan {
	p := sim.NewPlan(seed, seedFaults)
	p.Nodes = min(p.Nodes, 4)
	return p
}

// live lets nodes live through a plan, and returns what became of it.
func live(t *testing.T, p *sim.Plan, tell func(string)) *seedWorld {
	cryptotest.SetGlobalRandom(t, p.Seed)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would come between goroutines at any time
	for range 2 {                                    // or pools would have what earlier runs left: sync.Pool keeps it over one
		runtime.GC()
	}
	w := newSeedWorld(p, tell)
	synctest.Test(t, func(t *testing.T) {
		w.verdict.TB = t
		w.live()
	})
	return w
}

// showSeed shows what happens in one seed; if it fails, made small.
func showSeed(t *testing.T, seed uint64) {
	p := seedPlan(seed)
	if how := live(t, p, nil).verdict; how.failure != "" {
		p = sim.Reduce(p, func(q *sim.Plan) bool { return live(t, q, nil).verdict.check == how.check })
	}
	var lines []string // until it is over: a system call would let others go first
	w := live(t, p, func(line string) { lines = append(lines, line) })
	fmt.Println(strings.Join(lines, "\n"))
	if text, _ := p.MarshalText(); w.verdict.failure != "" {
		t.Errorf("%s\nmade small, it is:\n%s", w.verdict.failure, text)
	}
}

// verdict takes note of how a run fails first, so that the test can go on.
type verdict struct {
	testing.TB
	check   string // what failed: the same in another run that fails so
	failure string // empty: nothing did
}

// hear calls fn, which ends where it fails.
func (v *verdict) hear(fn func()) {
	defer func() {
		if r := recover(); r != nil && r != any(v) {
			stack := make([]byte, 16<<10)
			v.note("panic", fmt.Sprintf("panic: %v\n%s", r, stack[:runtime.Stack(stack, false)]))
		}
	}()
	fn()
}

func (v *verdict) note(check, failure string) {
	if v.failure == "" {
		v.check, v.failure = check, failure
	}
}

// Errorf implements testing.TB.
func (v *verdict) Errorf(format string, args ...any) { v.note(format, fmt.Sprintf(format, args...)) }

// Error implements testing.TB.
func (v *verdict) Error(args ...any) { v.note("error", fmt.Sprint(args...)) }

// Fatalf implements testing.TB. Only what hear calls may call it.
func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	panic(v)
}

// Fatal implements testing.TB, as Fatalf does.
func (v *verdict) Fatal(args ...any) {
	v.Error(args...)
	panic(v)
}

// Helper implements testing.TB.
func (v *verdict) Helper() {}

// happens reports whether a plan has something of a kind happen.
func happens(p *sim.Plan, k sim.Kind) bool {
	return slices.ContainsFunc(p.Happenings, func(h sim.Happening) bool { return h.Kind == k })
}
