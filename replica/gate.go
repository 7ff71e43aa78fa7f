package replica

import (
	"math"
	"sync"
	"sync/atomic"
)

// gate counts who is inside, until it is shut: then nobody enters any more,
// and shut returns when all have left. Entering never blocks, so whoever is
// inside may enter again. What is behind a gate is only work of a bounded
// time, never an embedder's code. The zero value is open.
type gate struct {
	inside atomic.Int64 // how many are; from shut on, shutBias more

	mu    sync.Mutex
	why   error         // nil while the gate is open
	empty chan struct{} // closed when all have left; nil if nobody was inside
	left  bool          // empty is closed
}

// shutBias makes inside negative, however many are.
const shutBias = math.MinInt64

// enter returns why the gate is shut, or nil: then leave must follow.
func (g *gate) enter() error {
	if g.inside.Add(1) > 0 {
		return nil
	}
	g.leave()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

func (g *gate) leave() {
	if g.inside.Add(-1) != shutBias {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil && !g.left { // else those who came too late left again
		close(g.empty)
		g.left = true
	}
}

// shut closes the gate for the reason given, unless it is closed, and waits
// until nobody is inside. It reports whether it was this call that closed it.
func (g *gate) shut(why error) (first bool) {
	g.mu.Lock()
	if first = g.why == nil; first {
		g.why = why
		if g.inside.Add(shutBias) != shutBias {
			g.empty = make(chan struct{})
		}
	}
	empty := g.empty
	g.mu.Unlock()
	if empty != nil {
		<-empty
	}
	return first
}
