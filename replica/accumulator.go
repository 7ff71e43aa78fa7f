package replica

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/anabranch-db/anabranch/crdt"
)

// Accumulator adds to one counter where a transaction for each add would cost
// more than what is counted: it adds up in memory, and all accumulators of a
// namespace are committed together, as one buffered transaction for each
// Options.BufferedSync in which there was an add. Safe for concurrent use; it
// takes no goroutine, and need not be closed.
//
// An add is visible here within Options.BufferedSync (and before that to nobody,
// transactions of this process included), and is then on its way to the disk at
// once. So a crash undoes the adds of that interval at most, as it does with
// buffered commits; unlike those, a process that is killed loses them too.
// Namespace.Flush makes visible what was added so far, Namespace.Sync has it on
// disk, and DB.Close, DB.Backup and DB.Checkpoint begin with it.
type Accumulator struct {
	ns      *Namespace
	counter crdt.Counter

	sum    atomic.Int64 // of what was added, and was not taken by a flush yet
	queued atomic.Bool  // it is among the dirty; set under mu
	// spent is why the counter takes no more; nil: it does.
	spent atomic.Pointer[error]

	owed  int64 // what a flush took, and has not committed; under flushing
	owing bool  // it is among the owing; under flushing
}

// Accumulator returns one of a counter. Several of one counter do not disturb each
// other. If no constructor made the counter, or its path is too long, each Add fails
// with crdt.ErrPath.
func (n *Namespace) Accumulator(c crdt.Counter) *Accumulator {
	a := &Accumulator{ns: n, counter: c}
	if _, err := crdt.MakeKey(c.Path(), crdt.TypeCounter, string(make([]byte, 1+len(crdt.WriterID{})))); err != nil {
		a.spend(err)
	}
	return a
}

// Add adds delta, which may be negative. After an error it is not counted: with
// ErrNotGranted, ErrClosed or ErrNoNamespace it never will be; while the last
// commit of what was accumulated has failed (ErrDiskFull, ErrHalted), that error
// is returned, and the commit is tried again. crdt.ErrOverflow and crdt.ErrValue
// say that the counter did not take what was accumulated before: that is not
// counted, and this accumulator takes nothing any more.
//
// It commits by itself, and so takes as long, if too much is accumulated: more
// than MaxAccumulators counters, or 1<<63 of one. Do not call it in a closure of
// Update: it is no part of that transaction, and would wait for it.
func (a *Accumulator) Add(delta int64) error {
	p := &a.ns.adds
	if err := p.gate.enter(); err != nil {
		return a.ns.failed("add to a counter", err)
	}
	defer p.gate.leave()
	if failed := p.failed.Load(); failed != nil {
		return *failed
	}
	if spent := a.spent.Load(); spent != nil {
		return *spent
	}
	if !a.queued.Load() {
		if err := a.ns.mayAccumulate(); err != nil {
			return err
		}
	}
	for {
		sum := a.sum.Load()
		if !overflows(sum, delta) {
			if a.sum.CompareAndSwap(sum, sum+delta) {
				break
			}
			continue
		}
		if _, err := a.ns.flush(context.Background()); err != nil {
			return err
		}
		if spent := a.spent.Load(); spent != nil {
			return *spent
		}
	}
	if !a.queued.Load() { // what a flush has just left goes with the next
		p.queue(a)
	}
	return nil
}

// overflows reports whether a sum does not fit 64 bits.
func overflows(a, b int64) bool {
	return b > 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b
}

// spend ends an accumulator whose counter takes no more.
func (a *Accumulator) spend(err error) error {
	err = a.ns.failed("add to a counter", err)
	a.spent.Store(&err)
	return err
}

// add adds in a transaction what is owed.
func (a *Accumulator) add(tx *Tx) error { return a.counter.Add(tx, a.owed) }

// take moves what was added to what is owed, and reports whether it did: both
// together may not fit, and then it stays queued. The caller holds mu.
func (a *Accumulator) take() bool {
	a.queued.Store(false) // first: what is added from now on is queued again
	for {
		sum := a.sum.Load()
		if overflows(a.owed, sum) {
			a.queued.Store(true)
			return false
		}
		if a.sum.CompareAndSwap(sum, 0) {
			a.owed += sum
			return true
		}
	}
}

// refusesItself reports whether an error of an add is of its counter alone.
func refusesItself(err error) bool {
	return errors.Is(err, crdt.ErrOverflow) || errors.Is(err, crdt.ErrValue) || errors.Is(err, crdt.ErrPath)
}

// lost is the error of an amount that a counter did not take.
func (a *Accumulator) lost(err error) error {
	return a.spend(fmt.Errorf("%w: %d that was accumulated is not counted", err, a.owed))
}
