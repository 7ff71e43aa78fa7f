package crdt

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

// The oracle test plays random histories of a small fleet and compares every
// replica, after everything that happens to it, with an oracle that knows
// nothing of vectors, dots, records and joins. The oracle keeps for each
// replica the plain set of transactions that it must know, and computes what
// can be read from these and from who knew what when it wrote.
//
// What happens (oracle_fleet_test.go): transactions over several keys of
// several types, failed ones among them; deltas in any direction, since any
// point, delivered late, twice, out of order, or without the writer records
// that belong to them; restarts, clones, images restored; clocks ten years
// ahead, an hour behind, in 1970; values that expire; removals and what has
// expired collected at different times.
//
// Each rule that the design marks with (!) and that exists at this layer is
// taken out once (oracle_rules_test.go): then the oracle must disagree.

var (
	oracleSeed  = flag.Uint64("seed", 1, "seed of the first random history")
	oracleCount = flag.Int("histories", 100_000, "how many random histories to play, from -seed on")
)

// maxTransactions bounds a history: sets of transactions are bits of a word.
const maxTransactions = 64

func TestOracleAgreesOnRandomHistories(t *testing.T) {
	// Little is live here: do not collect it every 4 MB.
	defer debug.SetGCPercent(debug.SetGCPercent(1600))
	n := *oracleCount
	if testing.Short() {
		n = min(n, 5_000)
	}
	for i := range uint64(n) {
		if err := playHistory(*oracleSeed+i, rules{}, nil); err != nil {
			explain(t, *oracleSeed+i, rules{}, err)
		}
	}
	t.Attr("histories", strconv.Itoa(n))
}

// explain plays a history that failed again, and prints what happened in it.
func explain(t *testing.T, seed uint64, r rules, err error) {
	t.Helper()
	var story strings.Builder
	_ = playHistory(seed, r, &story)
	t.Fatalf("%v\n\nThe history, again with go test ./crdt -run %s -seed=%d -histories=1\n%s",
		err, t.Name(), seed, story.String())
}

// playHistory plays the history of a seed by the given rules, and tells it to
// story if there is one.
func playHistory(seed uint64, r rules, story *strings.Builder) error {
	rnd := rand.New(rand.NewPCG(seed, 0))
	f := newTrial(rnd, r.orDefault(), story)
	steps := 6 + rnd.IntN(20)
	if rnd.IntN(16) == 0 {
		steps *= 3
	}
	for range steps {
		d, err := f.step()
		if err == nil && d != nil {
			err = f.check(d)
		}
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	if err := f.checkConvergence(); err != nil {
		return fmt.Errorf("seed %d: at the end: %w", seed, err)
	}
	return nil
}

// check compares a device with the oracle, and with what it reads once some of
// the removals are collected.
func (f *trial) check(d *device) error {
	at := f.clock(d)
	if f.rnd.IntN(4) == 0 {
		at = max(f.wall+f.rnd.Int64N(30)-10, f.agreed)
	}
	got, err := f.read(d.ViewAt(at))
	if err != nil {
		return err
	}
	collected, err := f.read(hiding{d.ViewAt(at), f.rnd.Uint64()})
	if err != nil {
		return err
	}
	if collected != got {
		return fmt.Errorf("%s reads\n  %v\nand once removals are collected\n  %v", d.name, got, collected)
	}
	if want := f.expected(d.known, at); got != want {
		return fmt.Errorf("%s reads\n  %v\nthe oracle says\n  %v", d.name, got, want)
	}
	return nil
}

// checkConvergence lets everybody get everything, in a random order, and
// compares all replicas with the oracle and with one another.
func (f *trial) checkConvergence() error {
	first := f.devices[0]
	for range 2 {
		for _, i := range f.rnd.Perm(len(f.devices)) {
			for _, pair := range [][2]*device{{first, f.devices[i]}, {f.devices[i], first}} {
				if err := f.deliver(pair[0], f.send(pair[1], pair[0].known, pair[0].Vector())); err != nil {
					return err
				}
			}
		}
	}
	for _, d := range f.devices {
		if err := f.check(d); err != nil {
			return err
		}
		if d.known != first.known || d.Digest() != first.Digest() || !d.Vector().Equal(first.Vector()) {
			return fmt.Errorf("%s and %s got everything and differ", d.name, first.name)
		}
		if !f.collected && string(d.Bytes()) != string(first.Bytes()) {
			return fmt.Errorf("%s and %s cover the same and hold other bytes", d.name, first.name)
		}
	}
	return nil
}
