package replica

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
)

var wholeReplays = flag.Uint64("whole.replays", 4, "how many seeds whole nodes live through twice, with the runtime of internal/steady")

// minReplays is how many seeds of a hundred have to be had again.
const minReplays = 99

// TestASeedCanBeHadAgain has whole nodes live through seeds in order and once
// more in the other, so that what came before in the process is another. All
// packets, happenings, digests and vectors must be the same, and when they came.
func TestASeedCanBeHadAgain(t *testing.T) {
	if !steady(t) {
		t.Skip("this runtime leaves things to chance: go run ./internal/steady test ./replica -run " + t.Name())
	}
	first, equal := map[uint64]string{}, uint64(0)
	for i := range *wholeReplays {
		seed := *wholeFirst + i
		first[seed] = lived(t, seed)
	}
	for i := range *wholeReplays {
		seed := *wholeFirst + *wholeReplays - 1 - i
		if again := lived(t, seed); again == first[seed] {
			equal++
		} else {
			t.Logf("seed %d was %x, and then %x", seed, first[seed], again)
		}
	}
	t.Attr("replays", strconv.FormatUint(*wholeReplays, 10))
	t.Attr("replays-equal", strconv.FormatUint(equal, 10))
	if equal*100 < *wholeReplays*minReplays {
		t.Errorf("of %d seeds, %d were had again", *wholeReplays, equal)
	}
}

// lived returns a hash of what happened in a seed.
func lived(t *testing.T, seed uint64) (hash string) {
	t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { hash = string(live(t, seedPlan(seed), nil).wire.final) })
	return hash
}

// steady reports whether bubbles draw the same from the runtime.
func steady(t *testing.T) bool {
	var drawn [2]uint64
	for i := range drawn {
		synctest.Test(t, func(*testing.T) { drawn[i] = rand.Uint64() })
	}
	return drawn[0] == drawn[1]
}

// goCommand is the go command that makes tests like this one.
func goCommand(t *testing.T) string {
	if steady(t) {
		return "go run ./internal/steady"
	}
	return "go"
}
