package replica

import (
	"sync"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// inbox holds what the loop has yet to see. Posting never blocks. It is
// bounded all the same: a link posts no more frames than its budget allows, a
// job ends once, and of each namespace only the fact is kept that more has
// become durable.
type inbox struct {
	ready chan struct{} // of capacity 1: there is something

	mu     sync.Mutex
	events []protocol.Event
	asked  []func()           // to be called by the loop
	marked []*store.Namespace // with more on disk, each once
}

func (b *inbox) post(ev protocol.Event) {
	b.mu.Lock()
	b.events = append(b.events, ev)
	b.mu.Unlock()
	b.wake()
}

// mark notes that more of ns has become durable.
func (b *inbox) mark(ns *store.Namespace) {
	b.mu.Lock()
	for _, m := range b.marked {
		if m == ns {
			b.mu.Unlock()
			return
		}
	}
	b.marked = append(b.marked, ns)
	b.mu.Unlock()
	b.wake()
}

func (b *inbox) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// ask has the loop call fn.
func (b *inbox) ask(fn func()) {
	b.mu.Lock()
	b.asked = append(b.asked, fn)
	b.mu.Unlock()
	b.wake()
}

// take returns all that is there, in order, and nothing of it again.
func (b *inbox) take() ([]protocol.Event, []*store.Namespace, []func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events, marked, asked := b.events, b.marked, b.asked
	b.events, b.marked, b.asked = nil, nil, nil
	return events, marked, asked
}
