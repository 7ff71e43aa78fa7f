package store

import (
	"errors"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// compactions decides when Pebble may compact: at once, one at a time, as
// Pebble's own scheduler does, but without its ticker, which would wake an
// idle device ten times a second; never while the disk is full or frozen,
// since what room there is belongs to the log and to flushes; and after one
// that failed only when a pause has gone by, since Pebble would repeat it at
// once, for ever. It implements pebble.CompactionScheduler and, stateless, the
// grant that goes with it. Safe for concurrent use.
type compactions struct {
	faults *faults
	db     pebble.DBForCompaction // set once, before all other calls
	stop   chan struct{}          // closed by Unregister

	mu       sync.Mutex
	running  bool
	denied   bool           // somebody was turned away while running was set
	failures uint           // in a row
	notUntil time.Time      // the end of the pause after an open or a failure
	resuming bool           // a goroutine waits to grant what was denied
	ended    bool           // unregistered: nothing is granted any more
	granting sync.WaitGroup // calls of db under way; added to under mu while not ended
}

// After the n-th failure in a row compactions pause for 2^(n-1) seconds, but
// no longer than maxPause: a disk that comes back is noticed within a minute.
const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// openPause is how long a store that is opened does not compact what it was left
// with: it would share the processor and the disk with the open, which took up to
// eighteen times as long (internal/bench, open/clean with a million keys).
const openPause = 250 * time.Millisecond

func newCompactions(f *faults) *compactions {
	return &compactions{faults: f, stop: make(chan struct{})}
}

// rest has nothing compacted for a while. Call it before Pebble is opened.
func (c *compactions) rest(pause time.Duration) { c.notUntil = time.Now().Add(pause) }

// Register implements pebble.CompactionScheduler.
func (c *compactions) Register(_ int, db pebble.DBForCompaction) { c.db = db }

// Unregister implements pebble.CompactionScheduler.
func (c *compactions) Unregister() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	close(c.stop)
	c.granting.Wait()
}

// TrySchedule implements pebble.CompactionScheduler. What it denies, Pebble
// waits to be granted.
func (c *compactions) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.running {
		c.denied = true
		return false, nil // Done grants the next one, or grant that goes on
	}
	if c.holdLocked() {
		return false, nil
	}
	c.running = true
	return true, c
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
// What is allowed is always one.
func (c *compactions) UpdateGetAllowedWithoutPermission() {}

// Started implements pebble.CompactionGrantHandle.
func (c *compactions) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (c *compactions) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (c *compactions) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle.
func (c *compactions) Done() {
	c.mu.Lock()
	c.running = false
	c.mu.Unlock()
	c.grant()
}

// finished takes note of how a compaction went. Pebble calls it, with its
// locks held, before Done.
func (c *compactions) finished(err error) {
	if errors.Is(err, pebble.ErrCancelledCompaction) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.failures, c.notUntil = 0, time.Time{}
		return
	}
	pause := min(firstPause<<min(c.failures, 16), maxPause)
	c.failures++
	c.notUntil = time.Now().Add(pause)
}

// grant runs the compaction that waits, if there is one and it may run.
func (c *compactions) grant() {
	for again := true; again; {
		c.mu.Lock()
		if c.ended || c.running || c.holdLocked() {
			c.mu.Unlock()
			return
		}
		c.running, c.denied = true, false
		c.granting.Add(1)
		c.mu.Unlock()

		again = false
		if !c.db.Schedule(c) { // Pebble's locks come before ours
			// What began to wait after Schedule had looked was denied.
			c.mu.Lock()
			c.running, again = false, c.denied
			c.mu.Unlock()
		}
		c.granting.Done()
	}
}

// holdLocked reports whether the disk is in no state to compact, and sees to
// it that grant is called when that may have changed.
func (c *compactions) holdLocked() bool {
	change := c.faults.change()
	pause := time.Until(c.notUntil)
	frozen := c.faults.frozen.Load()
	if !frozen && !c.faults.full.Load() && pause <= 0 {
		return false
	}
	if !frozen && !c.resuming {
		c.resuming = true
		c.granting.Add(1)
		go c.resume(change, pause)
	}
	return true
}

// resume waits for a change of the disk, or for the end of the pause.
func (c *compactions) resume(change <-chan struct{}, pause time.Duration) {
	defer c.granting.Done()
	var over <-chan time.Time
	if pause > 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-c.stop:
		return
	case <-change:
	case <-over:
	}
	c.mu.Lock()
	c.resuming = false
	c.mu.Unlock()
	c.grant()
}
