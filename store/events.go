package store

import (
	"errors"
	"fmt"
	"sync"
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
			e.faults.halt(fmt.Errorf("%w: %s: %w", ErrDamaged, info.Path, plain(info.Details)))
		},
		// A flush or a compaction failed. Pebble repeats it; the guard and
		// compactions pace that. Of damage was told when it halted the store.
		BackgroundError: func(err error) {
			err = readError(err)
			told := e.faults.frozen.Load() || e.faults.full.Load() || errors.Is(err, ErrDamaged) && e.faults.fatal() != nil
			if !told && !errors.Is(err, pebble.ErrCancelledCompaction) {
				e.faults.report(fmt.Errorf("in the background: %w", err))
			}
		},
		WALCreated: func(pebble.WALCreateInfo) { e.backlog.stale.Store(true) }, // a new memtable
		FlushEnd:   func(pebble.FlushInfo) { e.progressed() },
		CompactionEnd: func(info pebble.CompactionInfo) {
			c.finished(info.Err)
			e.progressed()
		},
	}
}

// progressed ends the wait of writes for flushes and compactions.
func (e *engine) progressed() {
	e.backlog.stale.Store(true)
	e.faults.wake()
}

// backlog knows whether Pebble is too far behind with flushes and compactions.
// It asks only after a change, since asking takes Pebble's lock.
type backlog struct {
	memTables uint64 // the bytes of memtables beyond which writes wait

	stale atomic.Bool
	long  atomic.Bool

	mu sync.Mutex // held while asking, so that the last answer stands
}

// refresh asks, and reports whether those who wait may go on.
func (l *backlog) refresh(db *pebble.DB) (shorter bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stale.CompareAndSwap(true, false) {
		return false
	}
	m := db.Metrics()
	// By size: the first memtables are small, and Pebble lets them pile up
	// to half of a full one before it flushes any.
	long := m.MemTable.Size > l.memTables || m.Levels[0].Sublevels > maxLevel0
	return l.long.Swap(long) && !long
}
