package sim_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/replica/sim/sweep"
)

var (
	replays     = flag.Uint64("replays", 200, "how many seeds are run again, to see that they do the same")
	replaysFrom = flag.Uint64("replays.first", 1, "the first of them")
)

// Whatever happens in a run follows from its plan: run again it has the same
// hash over all that chance drew, over each event, frame and state, also from
// what was written down, beside others, and in another process that has other
// processors and whose maps have other orders.
func TestARunFollowsFromItsPlan(t *testing.T) {
	equal, sum := uint64(0), uint64(0)
	for seed := range *replays {
		seed += *replaysFrom
		p := sim.NewPlan(seed, sim.Faults)
		first := hashOf(t, p)
		sum += first
		if again, read := hashOf(t, p), hashOf(t, readAgain(t, p)); again != first || read != first {
			t.Errorf("seed %d: %x, then %x, and %x from its transcript", seed, first, again, read)
			continue
		}
		equal++
	}
	done, err := sweep.Run(t.Context(), sweep.Options{First: *replaysFrom, Count: *replays, Faults: sim.Faults, NewApp: everything})
	if err != nil || done.Hash != sum {
		t.Errorf("beside each other: %x (%v), want %x", done.Hash, err, sum)
	}
	if other := inAnotherProcess(t); other != sum {
		t.Errorf("in another process: %x, want %x", other, sum)
	}
	t.Attr("replays", strconv.FormatUint(*replays, 10))
	t.Attr("replays-equal", strconv.FormatUint(equal, 10))
}

func hashOf(t *testing.T, p *sim.Plan) uint64 {
	t.Helper()
	count, err := sim.Run(p, everything(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if count.Hash == 0 {
		t.Fatal("no hash")
	}
	return count.Hash
}

func readAgain(t *testing.T, p *sim.Plan) *sim.Plan {
	t.Helper()
	text, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var read sim.Plan
	if err := read.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	return &read
}

// seedsVariable has TestHashesForAnother say what so many seeds have, for the
// process that started it.
const seedsVariable = "ANABRANCH_SIM_HASH_SEEDS"

func inAnotherProcess(t *testing.T) (sum uint64) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.run", "^TestHashesForAnother$", "-test.v")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=20", fmt.Sprintf("%s=%d %d", seedsVariable, *replaysFrom, *replays))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, text, _ := strings.Cut(string(out), "hashes add up to ")
	if _, err := fmt.Sscanf(text, "%x", &sum); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return sum
}

func TestHashesForAnother(t *testing.T) {
	var from, count, sum uint64
	if _, err := fmt.Sscan(os.Getenv(seedsVariable), &from, &count); err != nil {
		t.Skip("it is a process of TestARunFollowsFromItsPlan, which reads what it prints")
	}
	for seed := range count {
		sum += hashOf(t, sim.NewPlan(from+seed, sim.Faults))
	}
	t.Logf("hashes add up to %x", sum)
}

// What a run did is in its hash: without one transaction it has another.
func TestAnotherPlanHasAnotherHash(t *testing.T) {
	seen := map[uint64]int{}
	p := &sim.Plan{Seed: 1, Nodes: 2, Namespaces: []string{"alpha"}}
	for i := range 5 {
		if was, found := seen[hashOf(t, p)]; found {
			t.Errorf("with %d transactions the hash is that with %d", i, was)
		}
		seen[hashOf(t, p)] = i
		p.Happenings = append(p.Happenings, sim.Happening{At: int64(1000 * i), Kind: sim.Act, N: 4 + uint64(i)})
	}
}
