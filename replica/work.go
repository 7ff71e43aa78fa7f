package replica

import (
	"sync"

	"github.com/anabranch-db/anabranch/store"
)

// work is what a transaction works with. It is used again by a later one, so
// that one which reads nothing allocates next to nothing.
type work struct {
	reads reads
	// writes is what the transaction wrote, over what it reads.
	writes overlay
	commit store.Write // what Tx.run returns
}

// works are those that nobody uses. The zero value is empty. Safe for concurrent
// use.
type works struct{ pool sync.Pool }

func (p *works) take() *work {
	if w, ok := p.pool.Get().(*work); ok {
		return w
	}
	return &work{}
}

// give takes w back, which nobody uses any more.
func (p *works) give(w *work) {
	w.writes.reset()
	w.reads.reset()
	w.commit = store.Write{}
	p.pool.Put(w)
}
