package replica

import (
	"context"
	"sync"
	"sync/atomic"
)

// idleCrew is how many goroutines stay when they have nothing to do.
const idleCrew = 4

// crew runs functions on goroutines, of which a few stay for the next one: one
// that begins has to grow its stack, which takes as long as a small delta does.
type crew struct {
	ctx     context.Context // ends with the crew
	running *sync.WaitGroup // counts them
	next    chan func()
	idle    atomic.Int32
}

func newCrew(ctx context.Context, running *sync.WaitGroup) *crew {
	return &crew{ctx: ctx, running: running, next: make(chan func())}
}

// do has fn run on a goroutine. It does not block.
func (c *crew) do(fn func()) {
	select {
	case c.next <- fn:
	default:
		c.running.Go(func() { c.work(fn) })
	}
}

func (c *crew) work(fn func()) {
	for fn != nil {
		fn()
		fn = c.wait()
	}
}

// wait returns the next function; nil if enough others wait for it, or the crew
// has ended.
func (c *crew) wait() func() {
	defer c.idle.Add(-1)
	if c.idle.Add(1) > idleCrew {
		return nil
	}
	select {
	case fn := <-c.next:
		return fn
	case <-c.ctx.Done():
		return nil
	}
}
