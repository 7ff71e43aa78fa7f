package sim_test

import (
	"testing"

	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/replica/sim/simtest"
)

func everything() sim.App { return sim.NewEverything() }

// Whatever goes wrong, in the end all hold the same, and what the history says.
func TestFleetsThatPartAndRejoinConverge(t *testing.T) { simtest.Run(t, everything) }
