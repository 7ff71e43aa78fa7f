package replica

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

// Of a crew a few stay, take what comes next, and go with its context.
func TestOfACrewAFewStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		c := newCrew(ctx, &running)
		some := func(n int) {
			t.Helper()
			release, done := make(chan struct{}), 0
			var mu sync.Mutex
			for range n {
				c.do(func() {
					<-release
					mu.Lock()
					defer mu.Unlock()
					done++
				})
			}
			synctest.Wait()
			if idle := c.idle.Load(); int(idle) > max(idleCrew-n, 0) {
				t.Errorf("%d are idle while there is work for %d", idle, n)
			}
			close(release)
			synctest.Wait()
			if idle := c.idle.Load(); idle != idleCrew {
				t.Errorf("%d stay, want %d", idle, idleCrew)
			}
			if done != n {
				t.Errorf("%d of %d are done", done, n)
			}
		}
		some(3 * idleCrew)
		some(1)
		some(2 * idleCrew)
		cancel()
		running.Wait()
		c.do(func() {}) // what comes late is done too
		running.Wait()
	})
}
