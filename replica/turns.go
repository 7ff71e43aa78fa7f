package replica

import (
	"context"
	"sync/atomic"
)

// maxTurns bounds the deltas and answers for which the disk is read at a time:
// more would only take turns.
const maxTurns = 8

// turns are the places of peers that catch up at a time. They are taken in the
// order in which they were asked for, so that nobody starves; who waits costs
// no more than a place in the queue. Safe for concurrent use.
type turns struct {
	places chan struct{}
	most   atomic.Int64 // that were taken at a time
}

func newTurns() *turns { return &turns{places: make(chan struct{}, maxTurns)} }

// take waits for a place.
func (t *turns) take(ctx context.Context) error {
	select {
	case t.places <- struct{}{}:
		t.count()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count notes how many places are taken.
func (t *turns) count() {
	for now := int64(len(t.places)); ; {
		most := t.most.Load()
		if now <= most || t.most.CompareAndSwap(most, now) {
			return
		}
	}
}

// give gives a place back.
func (t *turns) give() { <-t.places }

// lend gives a place to others until the returned function is called, which
// waits for one.
func (t *turns) lend() (again func()) {
	t.give()
	return func() {
		t.places <- struct{}{}
		t.count()
	}
}
