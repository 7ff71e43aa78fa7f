package replica

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// accumulators are those of a namespace to which something was added. An add
// enters the gate, so that what it counted is there for the flush of a database
// that closes. The zero value has none. Safe for concurrent use.
type accumulators struct {
	gate gate
	// failed is why the last flush failed; nil: it did not.
	failed atomic.Pointer[error]

	mu    sync.Mutex
	dirty []*Accumulator // those queued
	timer *time.Timer    // nil: nothing is due
	over  bool           // no timer is started any more

	flushing sync.Mutex     // taken before mu
	owing    []*Accumulator // those with what was taken, and is not committed; under flushing
}

// mayAccumulate returns why nothing is to be accumulated, or nil. Where there is
// too much it commits that first.
func (n *Namespace) mayAccumulate() error {
	select {
	case <-n.db.closing: // it flushes what it finds now, and nothing later
		return n.failed("add to a counter", ErrClosed)
	default:
	}
	if err := n.db.mayWrite(n.Name()); err != nil {
		return n.failed("add to a counter", err)
	}
	n.adds.mu.Lock()
	full := len(n.adds.dirty) >= MaxAccumulators
	n.adds.mu.Unlock()
	if full {
		_, err := n.flush(context.Background())
		return err
	}
	return nil
}

// queue has a be flushed, within BufferedSync. Who finds it queued meanwhile finds
// it among the dirty: that is one step.
func (p *accumulators) queue(a *Accumulator) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.queued.Swap(true) {
		return
	}
	p.dirty = append(p.dirty, a)
	p.arm(a.ns, a.ns.db.options.BufferedSync)
}

// arm sees to it that there is a flush within a time. The caller holds mu.
func (p *accumulators) arm(n *Namespace, within time.Duration) {
	if p.timer == nil && !p.over {
		p.timer = time.AfterFunc(within, n.flushDue)
	}
}

// flushDue commits what the time has come for, and has it go to the disk: so it
// is there within the time in which a buffered commit is.
func (n *Namespace) flushDue() {
	n.adds.mu.Lock()
	n.adds.timer = nil
	n.adds.mu.Unlock()
	if _, err := n.flush(context.Background()); err == nil {
		_ = n.sync(context.Background()) // of a fault hears who writes next
	}
}

// Flush returns when all that was added to accumulators before is visible here.
// Errors are those of Update, for all of it, and those of Accumulator.Add for
// some; what of it can be committed later is kept.
func (n *Namespace) Flush(ctx context.Context) error {
	refused, err := n.flush(ctx)
	return errors.Join(refused, err)
}

// flush is Flush, with the errors of counters that refused what was theirs apart
// from that of all others.
func (n *Namespace) flush(ctx context.Context) (refused, err error) {
	p := &n.adds
	p.flushing.Lock()
	defer p.flushing.Unlock()
	for more := true; more && err == nil; {
		if more = p.take(); len(p.owing) == 0 {
			break
		}
		var spent error
		spent, err = p.commit(ctx, n)
		refused = errors.Join(refused, spent)
		p.settle(ctx, n, err)
	}
	return refused, err
}

// take takes what was added, and reports whether there is more: than one
// transaction takes beside what is owed from before, or than fits a sum with it.
// The caller holds flushing.
func (p *accumulators) take() (more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.dirty[:0]
	for _, a := range p.dirty {
		if !a.owing && len(p.owing) >= MaxAccumulators || !a.take() {
			left = append(left, a)
			continue
		}
		if !a.owing {
			a.owing = true
			p.owing = append(p.owing, a)
		}
	}
	clear(p.dirty[len(left):])
	p.dirty = left
	return len(left) > 0
}

// commit commits what is owed as one transaction, but for those whose counters
// refuse it: their errors come first. The caller holds flushing.
func (p *accumulators) commit(ctx context.Context, n *Namespace) (refused, err error) {
	for {
		var last *Accumulator // whose turn it was when the closure failed
		err := n.UpdateWith(ctx, UpdateOptions{Buffered: true}, func(tx *Tx) error {
			for _, a := range p.owing {
				last = a
				if err := a.add(tx); err != nil {
					return err
				}
			}
			last = nil
			return nil
		})
		if last == nil || !refusesItself(err) {
			return refused, err
		}
		refused = errors.Join(refused, last.lost(err))
		last.owed, last.owing = 0, false
		p.owing = slices.DeleteFunc(p.owing, func(a *Accumulator) bool { return a == last })
	}
}

// settle takes note of what a flush came to. After one that failed adds are
// refused, so that no more comes to what is owed, until one succeeds. The
// caller holds flushing.
func (p *accumulators) settle(ctx context.Context, n *Namespace, err error) {
	if err == nil {
		for _, a := range p.owing {
			a.owed, a.owing = 0, false
		}
		clear(p.owing)
		p.owing = p.owing[:0]
		p.failed.Store(nil)
		return
	}
	wait := n.db.options.BufferedSync
	if ctx.Err() == nil { // else it is who called that did not want to wait
		failed := n.failed("add to a counter", err)
		p.failed.Store(&failed)
		wait = max(wait, accumulateRetry)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arm(n, wait)
}

// shut refuses adds from now on, for the reason given, and returns when those
// under way have been counted.
func (p *accumulators) shut(why error) {
	p.gate.shut(why)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// shutAccumulators commits what is accumulated in all namespaces, and lets no more
// be.
func (d *DB) shutAccumulators() (failed error) {
	for _, n := range d.handles() {
		n.adds.shut(ErrClosed)
		failed = errors.Join(failed, n.Flush(context.Background()))
	}
	return failed
}

// flushAccumulators commits what is accumulated in all namespaces. What cannot be
// is told to who adds next.
func (d *DB) flushAccumulators(ctx context.Context) {
	for _, n := range d.handles() {
		_ = n.Flush(ctx)
	}
}
