package replica

import (
	"sync"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// work is what a transaction works with. It is used again by a later one, so
// that one which reads nothing allocates next to nothing.
type work struct {
	reads reads
	// writes is what the transaction wrote, over what it reads.
	writes overlay
	commit store.Write // what Tx.run returns

	// pin is what it reads, once pinned is set; the view's, if there is one.
	pin    store.Pin
	pinned bool
	view   *View
	writer crdt.WriterID // zero until asked for
	// refused is the first write or read that failed. A transaction that
	// lacks a part of itself does not commit, even where the closure
	// overlooks the error.
	refused error
}

// unpin lets go of what the transaction reads.
func (w *work) unpin() {
	switch {
	case w.view != nil:
		w.view.end(ErrTxEnded)
	case w.pinned:
		w.pin.Release()
	}
	w.pin, w.pinned, w.view = store.Pin{}, false, nil
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
	w.unpin()
	w.writes.reset()
	if w.reads.cost > 0 {
		w.reads.reset()
	}
	w.commit, w.writer, w.refused = store.Write{}, crdt.WriterID{}, nil
	p.pool.Put(w)
}
