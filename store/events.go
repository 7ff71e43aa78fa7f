package store

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// listener returns what the engine does on Pebble's events. Pebble calls it
// with its locks held.
func (e *engine) listener(c *compactions) *pebble.EventListener {
	return &pebble.EventListener{
		// A nil callback would be Fatalf. What was accepted may still be
		// logged, so the disk is not frozen.
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			e.faults.halt(fmt.Errorf("%w: %s: %w", ErrDamaged, info.Path, info.Details))
		},
		// A flush or a compaction failed. Pebble repeats it; the guard and
		// compactions pace that.
		BackgroundError: func(err error) {
			if !e.faults.frozen.Load() && !e.faults.full.Load() && !errors.Is(err, pebble.ErrCancelledCompaction) {
				e.faults.report(fmt.Errorf("in the background: %w", readError(err)))
			}
		},
		FlushEnd: func(pebble.FlushInfo) { e.level0.stale.Store(true) },
		CompactionEnd: func(info pebble.CompactionInfo) {
			c.finished(info.Err)
			e.level0.stale.Store(true)
			e.faults.wake()
		},
	}
}

// level0 knows how many sublevels Pebble's level 0 has. It asks only after
// a flush or a compaction, since asking takes Pebble's lock.
type level0 struct {
	stale atomic.Bool
	last  atomic.Int32
}

func (l *level0) sublevels(db *pebble.DB) int {
	if l.stale.CompareAndSwap(true, false) {
		l.last.Store(db.Metrics().Levels[0].Sublevels)
	}
	return int(l.last.Load())
}
