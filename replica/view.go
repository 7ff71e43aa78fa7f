package replica

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// View is a consistent read of one namespace: it shows the state of one
// moment, with every transaction whole, whatever is written meanwhile, and
// without what has expired by then. It is a crdt.View, so that every lens reads
// through it. It ends with the closure,
// or the step of the watch loop, that it was handed to, and then answers with
// crdt.ErrTxEnded; a database that closes ends it with ErrClosed. Safe for
// concurrent use.
type View struct {
	ns     *Namespace
	pin    store.Pin
	moment int64       // what has expired by then is hidden
	over   atomic.Bool // it has ended; the gate knows why
	gate   gate        // holds pin and snap

	opening sync.Mutex
	snap    *store.Snapshot // nil until something is read that the pin does not give
}

var _ crdt.Memo = (*View)(nil)

// View runs fn on the state as it is now. fn may take its time: it holds back
// no writer, only the disk space of what is overwritten meanwhile. View
// returns fn's error; ErrClosed or ErrNoNamespace if there is nothing to read
// any more; and the cause of ctx if that was cancelled before fn ran.
//
// A view that reads a few records costs hardly more than they do.
func (n *Namespace) View(ctx context.Context, fn func(*View) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	v, err := n.view()
	if err != nil {
		return err
	}
	defer v.end(crdt.ErrTxEnded)
	return fn(v)
}

// view opens a view, which its caller ends.
func (n *Namespace) view() (*View, error) {
	pin, err := n.pin()
	if err != nil {
		return nil, err
	}
	return &View{ns: n, pin: pin, moment: n.db.now()}, nil
}

// pin returns a pin of what is visible, which its caller releases.
func (n *Namespace) pin() (store.Pin, error) {
	select {
	case <-n.gone: // Drop waits for nobody who came after it
		return store.Pin{}, n.failed("read", ErrNoNamespace)
	default:
	}
	return n.store.Pin()
}

// snapshot opens a view that has a snapshot.
func (n *Namespace) snapshot() (*View, error) {
	v, err := n.view()
	if err != nil {
		return nil, err
	}
	if _, err := v.open(); err != nil {
		v.end(err)
		return nil, err
	}
	return v, nil
}

// open returns the snapshot of the view, which it takes when it is first needed.
func (v *View) open() (*store.Snapshot, error) {
	v.opening.Lock()
	defer v.opening.Unlock()
	if v.snap != nil {
		return v.snap, nil
	}
	d := v.ns.db
	if err := d.gate.enter(); err != nil {
		return nil, v.ns.failed("read", err)
	}
	defer d.gate.leave()
	snap, err := v.pin.Snapshot()
	if err != nil {
		return nil, err
	}
	if !d.track(v) {
		snap.Close()
		return nil, v.ns.failed("read", ErrNoNamespace)
	}
	v.snap = snap
	return snap, nil
}

// end closes the view, when calls that are under way have returned. Later
// ones answer with why.
func (v *View) end(why error) {
	if !v.gate.shut(why) {
		return
	}
	v.over.Store(true)
	if v.snap != nil {
		v.ns.db.untrack(v)
		v.snap.Close()
	}
	v.pin.Release()
}

// ended reports whether v, which may be nil, has ended.
func (v *View) ended() bool { return v != nil && v.over.Load() }

// enter begins a call; v.gate.leave ends it.
func (v *View) enter() error {
	if err := v.gate.enter(); err != nil {
		return v.ns.failed("read", err)
	}
	return nil
}

// enterOpen is enter, with the snapshot of the view.
func (v *View) enterOpen() (*store.Snapshot, error) {
	if err := v.enter(); err != nil {
		return nil, err
	}
	snap, err := v.open()
	if err != nil {
		v.gate.leave()
	}
	return snap, err
}

// Get returns the record at k, removals included, or nil.
func (v *View) Get(k crdt.Key) (crdt.Record, error) {
	if rec, ok := v.pin.Cached(k); ok && !v.over.Load() {
		return rec.At(v.moment), nil
	}
	return v.read(k)
}

// read is Get of a record that is not cached.
func (v *View) read(k crdt.Key) (crdt.Record, error) {
	if err := v.enter(); err != nil {
		return nil, err
	}
	defer v.gate.leave()
	rec, ok, err := v.pin.Get(k)
	if !ok {
		var snap *store.Snapshot
		if snap, err = v.open(); err == nil {
			rec, err = snap.Get(k)
		}
	}
	return rec.At(v.moment), err
}

// Time returns the moment of the view, by this node's clock: what has expired by
// then is hidden.
func (v *View) Time() time.Time { return time.UnixMilli(v.moment) }

// Last returns the record with the greatest key in s.
func (v *View) Last(s crdt.Span) (crdt.Entry, bool, error) {
	snap, err := v.enterOpen()
	if err != nil {
		return crdt.Entry{}, false, err
	}
	defer v.gate.leave()
	e, ok, err := snap.Last(s)
	e.Record = e.Record.At(v.moment)
	return e, ok, err
}

// NodeOf returns the node that a writer is a run of.
func (v *View) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) {
	if v.enter() != nil {
		return crdt.NodeID{}, false
	}
	defer v.gate.leave()
	return v.ns.store.NodeOf(w)
}

// Recall returns what Remember was told of s at this moment or an earlier one,
// and the keys in s of all records that differ from then, and maybe others; or
// nil.
func (v *View) Recall(s crdt.Span) (fold any, changed []crdt.Key) {
	if v.enter() != nil {
		return nil, nil
	}
	defer v.gate.leave()
	return v.pin.Recall(s)
}

// Remember may keep what was made of the records in s, and of nothing else, for
// this moment and later ones (Options.MemoBytes). fold takes that many bytes
// of memory, and must not be modified any more.
func (v *View) Remember(s crdt.Span, fold any, bytes int) {
	if v.enter() != nil {
		return
	}
	defer v.gate.leave()
	v.pin.Remember(s, fold, bytes)
}

// Scan yields the records in s in key order, removals included. It stops
// after the first error. The loop's body may do anything, for any time.
func (v *View) Scan(s crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		rest := s
		for size := scanFirstChunk; ; size = min(4*size, scanChunk) {
			chunk, more, err := v.chunk(rest, size)
			for _, e := range chunk {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(crdt.Entry{}, err)
				return
			}
			if !more {
				return
			}
			rest.From = after(chunk[len(chunk)-1].Key)
		}
	}
}

// chunk returns the first records in s, at most size, and whether it stopped
// before the end of s: then there is at least one.
func (v *View) chunk(s crdt.Span, size int) (es []crdt.Entry, more bool, err error) {
	snap, err := v.enterOpen()
	if err != nil {
		return nil, false, err
	}
	defer v.gate.leave()
	es = make([]crdt.Entry, 0, size)
	held := 0
	for e, err := range snap.Scan(s) {
		if err != nil {
			return es, false, err
		}
		e.Record = e.Record.At(v.moment)
		es = append(es, e)
		for i := range e.Record {
			held += len(e.Record[i].Value)
		}
		if len(es) == size || held >= scanChunkBytes {
			return es, true, nil
		}
	}
	return es, false, nil
}

// after returns the least key above k.
func after(k crdt.Key) crdt.Key { return k + "\x00" }

// cancellable is a view whose scans end when ctx does.
type cancellable struct {
	*View
	ctx context.Context
}

// Scan is View.Scan, with the cause of ctx as an error.
func (c cancellable) Scan(s crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for e, err := range c.View.Scan(s) {
			if err == nil {
				err = context.Cause(c.ctx)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
