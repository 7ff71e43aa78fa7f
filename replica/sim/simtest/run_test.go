package simtest_test

import (
	"testing"

	"github.com/anabranch-db/anabranch/replica/sim/simtest"
)

// What an embedder writes: the App of the example, whatever goes wrong.
func TestARolloutIsDecidedTheSameEverywhere(t *testing.T) { simtest.Run(t, newRollout) }
