package replica

import (
	"context"
	"fmt"
	"iter"

	"github.com/anabranch-db/anabranch/crdt"
)

// EventKind says what a WatchEvent tells of.
type EventKind int

const (
	// Change says that records at Path of type Type changed: fold them
	// through At to see what is there now.
	Change EventKind = iota + 1
	// Synced says that the events so far tell all of one moment, between
	// transactions. Cursor resumes behind it.
	Synced
	// Reset says that the cursor handed in is of no use here, or that removals
	// were collected that the loop has not been told of: a snapshot follows.
	// What it does not tell of is not there any more.
	Reset
)

// String returns the kind in lower case.
func (k EventKind) String() string {
	switch k {
	case Change:
		return "change"
	case Synced:
		return "synced"
	case Reset:
		return "reset"
	}
	return fmt.Sprintf("event kind %d", int(k))
}

// WatchEvent is one step of a watch. Not safe for concurrent use; what At
// points to is.
type WatchEvent struct {
	Kind EventKind
	// Path and Type, of a Change, are where something changed. A removal is
	// a change as well: then reading gives crdt.ErrMissing.
	Path crdt.Path
	Type crdt.Type
	// At, of a Change, is the state that this event and all others up to
	// the next Synced tell of. It ends with the step of the loop.
	At *View
	// Cursor, of a Synced, is what to hand to a later Watch of the same
	// namespace, after a restart too, to go on from here. It grows with the
	// nodes of the fleet: 26 bytes for each that wrote.
	Cursor []byte
}

// WatchOptions say what to watch. The zero value is a whole namespace, from
// its present state on.
type WatchOptions struct {
	// Prefix narrows the watch to what is at this path and below it.
	Prefix crdt.Path
	// Cursor, of an earlier watch, resumes behind it: the first events tell
	// of what changed since, removals included. Nil begins with a snapshot:
	// a Change for all that can be read.
	Cursor []byte
}

// Watch tells of what is in the namespace, and then of each change, as long
// as the loop runs:
//
//	for ev, err := range ns.Watch(ctx, replica.WatchOptions{}) { ... }
//
// Changes come in groups, each of which ends with a Synced and tells of one
// moment: of a transaction it has all or nothing. In a group a path and type
// comes once, in the order of paths, however often it was written: a loop
// that is slower than the writers sees fewer, later states. It holds back no
// writer, and nothing is queued for it.
//
// Nothing is told when a value expires: a snapshot has only what can be read at
// its moment, and whoever keeps what a watch told keeps when it expires as well
// (crdt.Expiry), or reads again.
//
// The cursor is a version vector. One that was handed out before a power cut
// may be ahead of what was on disk then (buffered commits); it leads to a
// Reset, as do one from before the namespace was dropped, and one so old that
// removals since were collected (Options.Retention). A loop meets a Reset
// later on if this node itself comes back after such a time, and catches up.
//
// The loop ends with an error: the cause of ctx when that is cancelled,
// ErrClosed, ErrNoNamespace when the namespace was dropped, ErrCursor or
// crdt.ErrPath for malformed options, or a fault of the disk.
func (n *Namespace) Watch(ctx context.Context, o WatchOptions) iter.Seq2[WatchEvent, error] {
	return func(yield func(WatchEvent, error) bool) {
		w, err := n.newWatcher(o)
		if err != nil {
			yield(WatchEvent{}, err)
			return
		}
		defer w.stop()
		for {
			more, err := w.group(ctx, func(ev WatchEvent) bool { return yield(ev, nil) })
			if err == nil && more {
				err = w.wait(ctx)
			}
			if err != nil {
				yield(WatchEvent{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// watcher is one watch loop. It belongs to the loop's goroutine, but for poke.
type watcher struct {
	ns   *Namespace
	span crdt.Span
	poke chan struct{} // holds one token if something became visible

	cursor  *cursor    // where to resume, until the first group
	seen    *crdt.Past // what was told; nil before the first group
	skipped int        // changes outside of span since the last Synced
}

func (n *Namespace) newWatcher(o WatchOptions) (*watcher, error) {
	w := &watcher{ns: n, span: crdt.AllKeys, poke: make(chan struct{}, 1)}
	var err error
	if o.Prefix != nil {
		if w.span, err = o.Prefix.Subtree(); err != nil {
			return nil, n.failed("watch", err)
		}
	}
	if o.Cursor != nil {
		if w.cursor, err = readCursor(o.Cursor); err != nil {
			return nil, n.failed("watch", err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watchers[w] = struct{}{}
	n.db.watching.Add(1)
	return w, nil
}

func (w *watcher) stop() {
	w.ns.mu.Lock()
	defer w.ns.mu.Unlock()
	delete(w.ns.watchers, w)
	w.ns.db.watching.Add(-1)
}

// wake tells the watchers that there is something to see. It never blocks.
func (n *Namespace) wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.watchers {
		select {
		case w.poke <- struct{}{}:
		default: // a token is there, which is of before the reader's next look
		}
	}
}

// wait returns when there may be something to see.
func (w *watcher) wait(ctx context.Context) error {
	select {
	case <-w.poke:
		return w.check(ctx)
	case <-ctx.Done():
	case <-w.ns.gone:
	case <-w.ns.db.closing:
	}
	return w.check(ctx)
}

// check returns why the watch should end, or nil.
func (w *watcher) check(ctx context.Context) error {
	select {
	case <-w.ns.db.closing:
		return w.ns.failed("watch", ErrClosed)
	case <-w.ns.gone:
		return w.ns.failed("watch", ErrNoNamespace)
	default:
		return context.Cause(ctx)
	}
}

// group tells of what changed since the last group. It reports whether the
// loop wants more.
func (w *watcher) group(ctx context.Context, yield func(WatchEvent) bool) (more bool, err error) {
	if err := w.check(ctx); err != nil {
		return true, err
	}
	view, err := w.ns.snapshot()
	if err != nil {
		return true, err
	}
	defer view.end(ErrTxEnded)
	now := view.snap.Past()
	first := w.seen == nil
	from := w.seen
	resumed := first && w.cursor != nil
	if resumed {
		from = w.cursor.resume(w.ns.store, now)
	}
	if from != nil && !from.CoversAll(view.snap.Floor()) {
		from, resumed = nil, resumed || !first // what was removed since cannot be told
	}
	if resumed && from == nil && !yield(WatchEvent{Kind: Reset}) {
		return false, nil
	}
	told := 0
	for leaf, err := range w.changes(ctx, view, from) {
		if err != nil {
			return true, err
		}
		told++
		if !yield(WatchEvent{Kind: Change, Path: leaf.Path, Type: leaf.Type, At: view}) {
			return false, nil
		}
	}
	view.end(ErrTxEnded) // it is not held while the loop takes in the Synced
	w.seen = now
	if !first && told == 0 && w.skipped < watchSkipped {
		return true, nil
	}
	w.skipped = 0
	return yield(WatchEvent{Kind: Synced, Cursor: appendCursor(nil, w.ns.store, now)}), nil
}
