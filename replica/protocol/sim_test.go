package protocol

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	simSeeds = flag.Int("sim.seeds", 2000, "how many seeds the simulation runs")
	simSeed  = flag.Uint64("sim.seed", 0, "run this seed only, and show what happens")
)

// Fleets are simulated by package sim. This looks into machines, which that cannot:
// whether what one end of a link has told is what came at the other, whether both
// name the same epochs, and whether nothing is left of what has ended.
func TestNodesThatPartAndRejoinConverge(t *testing.T) {
	if *simSeed != 0 {
		_, failure := runSeed(*simSeed, func(s string) { fmt.Println(s) })
		if failure != "" {
			t.Fatalf("seed %d: %s", *simSeed, failure)
		}
		return
	}
	seeds := uint64(*simSeeds)
	if testing.Short() {
		seeds = 1000
	}
	var next atomic.Uint64
	var total simTotals
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1); seed <= seeds && !t.Failed(); seed = next.Add(1) {
				w, failure := runSeed(seed, nil)
				if failure != "" {
					t.Errorf("seed %d: %s\nto see it: go test -run %s ./replica/protocol -sim.seed %d", seed, failure, t.Name(), seed)
				}
				total.add(w)
			}
		})
	}
	wg.Wait()
	t.Log(total.String())
}

// simTotals adds up what the seeds did.
type simTotals struct {
	mu     sync.Mutex
	worlds int
	stats  simStats
	closes map[Code]int
	moves  int
	late   int   // worlds that needed time to pass
	millis int64 // ... and how much at most
}

func (s *simTotals) add(w *simWorld) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds++
	s.stats.frames += w.stats.frames
	s.stats.bytes += w.stats.bytes
	s.stats.deltas += w.stats.deltas
	s.stats.puts += w.stats.puts
	s.stats.events += w.stats.events
	s.stats.stale += w.stats.stale
	s.stats.unknown += w.stats.unknown
	s.stats.ahead += w.stats.ahead
	s.stats.held += w.stats.held
	s.stats.withheld += w.stats.withheld
	s.moves = max(s.moves, w.quietMoves)
	if after := w.lastMerge - w.healed; after > 0 {
		s.late++
		s.millis = max(s.millis, after)
	}
	if s.closes == nil {
		s.closes = map[Code]int{}
	}
	for c, n := range w.closes {
		s.closes[c] += n
	}
}

func (s *simTotals) String() string {
	return fmt.Sprintf("%d worlds: %d frames, %d deltas, %d Puts, %d events brought (%d of them known already), "+
		"%d held, %d withheld, %d unknown writers, %d nodes behind their peers, closes %v; at most %d moves to converge, and in %d worlds time, at most %v",
		s.worlds, s.stats.frames, s.stats.deltas, s.stats.puts, s.stats.events, s.stats.stale, s.stats.held, s.stats.withheld, s.stats.unknown, s.stats.ahead,
		s.closes, s.moves, s.late, time.Duration(s.millis)*time.Millisecond)
}

// runSeed runs one world and returns what went wrong in it.
func runSeed(seed uint64, trace func(string)) (w *simWorld, failure string) {
	w = newSimWorld(seed, 0)
	w.trace, w.strict = trace, true
	defer func() {
		switch r := recover().(type) {
		case nil:
		case simFailure:
			failure = string(r)
		default:
			panic(fmt.Sprintf("seed %d: %v", seed, r))
		}
	}()
	if w.rng.IntN(3) == 0 {
		w.names = append(w.names, "beta")
	}
	w.features = func(*simNode) []Feature {
		if w.rng.IntN(8) == 0 {
			return nil
		}
		return []Feature{FeatureSpare, FeaturePut, FeatureColumns}
	}
	if w.rng.IntN(2) == 0 {
		w.class = Class{Metered: true, Least: PriorityBulk, BytesPerDay: 1}
	}
	w.target = 1 + w.rng.IntN(300)
	w.addNodes([]int{3, 3, 3, 4, 4, 5}[w.rng.IntN(6)])
	steps := 5 + w.rng.IntN(60)
	if seed%20 == 0 {
		steps *= 6 // what takes a long story to go wrong
	}
	w.chaos(steps)
	w.heal()
	w.settle()
	w.checkConverged()
	return w, ""
}
