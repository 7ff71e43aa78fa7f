package store

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// fault returns nil, or why writes are refused for the rest of this run; it
// wraps ErrHalted. Nothing may be acknowledged as durable before it was asked
// after the fsync; apply, wait, sync and ingest do.
func (e *engine) fault() error { return e.faults.fatal() }

// admit returns nil if writes are taken, else why not, as health does. While
// flushes or compactions are far behind it waits. Call it before work on a
// write, and without a lock that readers want.
func (e *engine) admit() error {
	for {
		if err := e.health(); err != nil || !e.backlog.long.Load() {
			return err
		}
		change := e.faults.change() // taken before the states are looked at
		if err := e.health(); err != nil || !e.backlog.long.Load() {
			return err
		}
		<-change
	}
}

// health returns nil, or why writes are refused: the fault, ErrDiskFull,
// ErrClosed, or that the store is only examined. On a full disk it looks whether
// there is room again, and if so writes are taken from then on.
func (e *engine) health() error {
	if err := e.open(); err != nil {
		return err
	}
	if !e.faults.full.Load() && !e.backlog.stale.Load() {
		return nil
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	if e.backlog.refresh(e.DB) {
		e.faults.wake()
	}
	e.ballast.mu.Lock()
	defer e.ballast.mu.Unlock()
	if !e.faults.full.Load() {
		return nil
	}
	if err := e.ballast.restore(); err != nil {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	e.faults.setFull(false)
	return nil
}

// open returns nil unless the engine is halted or closed, or open for reading
// alone.
func (e *engine) open() error {
	if err := e.faults.fatal(); err != nil {
		return err
	}
	if e.reads {
		return errExamined
	}
	if e.faults.closed.Load() {
		return ErrClosed
	}
	return nil
}

// enter holds the engine open for a call of Pebble; the caller must leave.
func (e *engine) enter() error {
	e.gate.RLock()
	if e.closed {
		e.gate.RUnlock()
		return ErrClosed
	}
	return nil
}

func (e *engine) leave() { e.gate.RUnlock() }

// apply makes a batch visible; admit was called before. If durable, its fsync
// is under way when apply returns, and wait must be called for it before the
// batch is closed; else the next sync makes it durable. An error says that
// nothing was applied.
func (e *engine) apply(b *pebble.Batch, durable bool) error {
	if e.faults.full.Load() {
		return ErrDiskFull
	}
	return e.free(b, durable)
}

// free is apply for a batch that makes room: a full disk takes it too.
func (e *engine) free(b *pebble.Batch, durable bool) error {
	if err := e.open(); err != nil {
		return err
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	if durable {
		return e.DB.ApplyNoSyncWait(b, pebble.Sync)
	}
	return e.DB.Apply(b, pebble.NoSync)
}

// wait returns nil once a batch that was applied as durable, and all that was
// applied before it, is on disk. After an error that is unknown.
func (e *engine) wait(b *pebble.Batch) error { return e.settled(b.SyncWait()) }

// sync returns nil once all that was applied before is on disk, also on a
// full one. After an error that is unknown.
func (e *engine) sync() error {
	if err := e.open(); err != nil {
		return err
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	return e.settled(e.DB.LogData(nil, pebble.Sync))
}

// ingest makes the tables visible together, and removes their files. They
// were written through FS, fsynced, and are on the same disk. They are durable
// too, unless the engine was halted meanwhile: the next sync says so. An error
// says that nothing became visible.
func (e *engine) ingest(ctx context.Context, tables []string) error {
	if e.faults.full.Load() {
		return ErrDiskFull
	}
	if err := e.open(); err != nil {
		return err
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	if err := e.DB.Ingest(ctx, tables); err != nil {
		return e.settled(err)
	}
	return nil
}

// settled is what became of a write that Pebble has ended: on a frozen disk
// it was told of successes that were none.
func (e *engine) settled(err error) error {
	if fault := e.faults.fatal(); fault != nil {
		return fault
	}
	return err
}
