package replica

import "sync"

// gate counts who is inside, until it is shut: then nobody enters any more,
// and shut returns when all have left. Entering never blocks, so whoever is
// inside may enter again. What is behind a gate is only work of a bounded
// time, never an embedder's code. The zero value is open.
type gate struct {
	mu     sync.Mutex
	inside int
	why    error         // nil while the gate is open
	empty  chan struct{} // made by the first shut that has to wait
}

// enter returns why the gate is shut, or nil: then leave must follow.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why == nil {
		g.inside++
	}
	return g.why
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
	}
}

// shut closes the gate for the reason given, unless it is closed, and waits
// until nobody is inside. It reports whether it was this call that closed it.
func (g *gate) shut(why error) (first bool) {
	g.mu.Lock()
	if first = g.why == nil; first {
		g.why = why
	}
	if g.inside > 0 && g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	if empty != nil {
		<-empty
	}
	return first
}
