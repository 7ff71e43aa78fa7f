package sim_test

import (
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/replica/sim/simtest"
)

func everything() sim.App { return sim.NewEverything() }

// Whatever goes wrong, in the end all hold the same, and what the history says.
func TestFleetsThatPartAndRejoinConverge(t *testing.T) { simtest.Run(t, everything) }

// Two runs of one plan do the same, line by line.
func TestARunFollowsFromItsPlan(t *testing.T) {
	for seed := range uint64(50) {
		var lines [2][]string
		for i := range lines {
			p := sim.NewPlan(seed+1, sim.Faults)
			if _, err := sim.Run(p, everything(), func(s string) { lines[i] = append(lines[i], s) }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(lines[0], lines[1]) {
			t.Fatalf("seed %d: two runs differ", seed+1)
		}
	}
}
