package transport

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The first change of a burst is told at once, the last one as well, and in
// between no more than four a second.
func TestBurstsOfChangesAreToldAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan struct{}, 1)
		began := time.Now()
		var at []time.Duration
		go tellChanges(ctx, told, func() { at = append(at, time.Since(began)) })
		for range 100 { // a second
			select {
			case told <- struct{}{}:
			default:
			}
			time.Sleep(10 * time.Millisecond)
		}
		last := time.Since(began)
		time.Sleep(time.Hour)
		cancel()
		synctest.Wait()
		if len(at) != 5 || at[0] != 0 || at[4] < last-10*time.Millisecond || at[4] > last+networkSettles {
			t.Errorf("told after %v", at)
		}
	})
}

func TestANetworkIsWatchedUntilTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- WatchNetwork(ctx, func() {}) }()
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("it ended with %v", err)
	}
}
