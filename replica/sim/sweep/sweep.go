package sweep

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/anabranch-db/anabranch/replica/sim"
)

// Options say which seeds are run.
type Options struct {
	// First is the first seed, and Count how many there are.
	First, Count uint64
	// Faults are what may go wrong; each seed draws half of them.
	Faults []sim.Kind
	// NewApp returns an App for one run. It is called from several goroutines.
	NewApp func() sim.App
	// MaxFailures is how many seeds may fail before no more are begun. 0: 1.
	MaxFailures int
}

// Result is what came of a sweep.
type Result struct {
	sim.Count
	// Failures are those that were found, ordered by seed, as far as that is
	// how the seeds ended.
	Failures []Failure
}

// Failure is a seed that failed, and what is left of it once it is made small.
type Failure struct {
	*sim.Failure
	// Small fails in the same way; nil if the run does not fail again, which
	// means that its App draws chance from elsewhere.
	Small *sim.Failure
}

// Run runs seeds until all are done, or too many failed, or ctx ends, whose
// error it returns then.
func Run(ctx context.Context, o Options) (Result, error) {
	s := &sweep{Options: o}
	s.MaxFailures = max(s.MaxFailures, 1)
	var running sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for seed, ok := s.next(ctx); ok; seed, ok = s.next(ctx) {
				s.run(seed)
			}
		})
	}
	running.Wait()
	return s.result, ctx.Err()
}

type sweep struct {
	Options
	mu     sync.Mutex
	begun  uint64
	result Result
}

// next returns a seed that is to be run.
func (s *sweep) next(ctx context.Context) (seed uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun == s.Count || len(s.result.Failures) >= s.MaxFailures || ctx.Err() != nil {
		return 0, false
	}
	s.begun++
	return s.First + s.begun - 1, true
}

func (s *sweep) run(seed uint64) {
	count, err := sim.Run(sim.NewPlan(seed, s.Faults), s.NewApp(), nil)
	var f *sim.Failure
	if errors.As(err, &f) {
		s.failed(f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Add(&count)
}

func (s *sweep) failed(f *sim.Failure) {
	_, small := sim.Shrink(f.Plan, s.NewApp)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Failures = append(s.result.Failures, Failure{f, small})
}
