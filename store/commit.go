package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// ErrConflict says that something that a transaction read was written before
// it committed, or that its writer has ended. Nothing was written; running
// it again on a new snapshot is the answer.
var ErrConflict = errors.New("the transaction conflicts with a later one")

// Op writes or removes one record: it supersedes every event that is there
// when the transaction commits.
type Op struct {
	Key     crdt.Key
	Value   []byte
	Removed bool
	// Expires is when the value does, as crdt.Event has it.
	Expires int64
}

// Write is one transaction to commit. All its events share one dot.
type Write struct {
	// Ops are in any order, with one for a key. None means that there is
	// nothing to commit: then only the reads are validated.
	Ops []Op
	// Reads is what must not have been written since Snapshot, the number
	// of the snapshot that it was read from. nil: nothing was read.
	Reads    *ReadSet
	Snapshot uint64
	// Writer is the writer that keys or values of Ops name; the commit
	// conflicts if the namespace's is another one by then. Zero: they name
	// none.
	Writer crdt.WriterID
	// Buffered returns once the transaction is visible; it becomes durable
	// within Options.BufferedSync. Else Commit returns once it is durable.
	Buffered bool

	time crdt.Timestamp // of its events, once it is built
}

// Commit commits a transaction and returns its dot. It fails with ErrConflict,
// an error that wraps crdt.ErrPath for a key that is none, crdt.ErrValue for a
// value too large, crdt.ErrExpiry for one that cannot expire then, ErrDiskFull,
// ErrHalted, ErrNoNamespace or ErrClosed: then nothing was written. Only a
// durable commit whose fsync failed, with ErrHalted, is visible here until the
// store is closed; whether it is on disk is then unknown.
func (ns *Namespace) Commit(w *Write) (crdt.Dot, error) {
	err := ns.store.engine.admit() // may wait, so without locks
	if err != nil {
		return crdt.Dot{}, ns.named("commit to", err)
	}
	if !ns.commits.TryLock() {
		return ns.queue.commit(ns, w)
	}
	dot, pending, err := ns.commitValid(w)
	ns.commits.Unlock()
	if err != nil {
		return crdt.Dot{}, ns.named("commit to", err)
	}
	return dot, ns.settle(pending, w.Buffered)
}

// commitValid commits a transaction of this store if it is valid. The caller
// holds commits.
func (ns *Namespace) commitValid(w *Write) (crdt.Dot, pending, error) {
	if err := ns.validate(w); err != nil || len(w.Ops) == 0 {
		return crdt.Dot{}, pending{}, err
	}
	ns.group = append(ns.group[:0], w)
	defer clear(ns.group)
	return ns.commitOwn(ns.group)
}

// validate returns an error if a transaction cannot be committed. The caller
// holds commits.
func (ns *Namespace) validate(w *Write) error {
	if err := ns.recent.validate(w.Reads, w.Snapshot); err != nil || len(w.Ops) == 0 {
		return err
	}
	for i := range w.Ops {
		if err := w.Ops[i].check(); err != nil {
			return err
		}
	}
	return ns.checkWriter(w.Writer)
}

// CommitExclusive calls fn with a snapshot that nothing can overtake, and
// commits what it returns, without validation: it cannot conflict. Other
// commits wait meanwhile; fn must not call the namespace to write. A nil
// Write commits nothing. The snapshot ends when fn returns.
func (ns *Namespace) CommitExclusive(fn func(*Snapshot) (*Write, error)) (crdt.Dot, error) {
	dot, pending, buffered, err := ns.commitAlone(fn)
	if err != nil {
		return crdt.Dot{}, err
	}
	return dot, ns.settle(pending, buffered)
}

func (ns *Namespace) commitAlone(fn func(*Snapshot) (*Write, error)) (crdt.Dot, pending, bool, error) {
	if err := ns.store.engine.admit(); err != nil {
		return crdt.Dot{}, pending{}, false, ns.named("commit to", err)
	}
	ns.commits.Lock()
	defer ns.commits.Unlock()
	s, err := ns.snapshot()
	if err != nil {
		return crdt.Dot{}, pending{}, false, ns.named("read", err)
	}
	w, err := fn(s)
	s.Close()
	if err != nil || w == nil {
		return crdt.Dot{}, pending{}, false, err
	}
	w.Reads = nil // nothing has come between
	dot, pending, err := ns.commitValid(w)
	if err != nil {
		err = ns.named("commit to", err)
	}
	return dot, pending, w.Buffered, err
}

// pending is a commit that is visible. Its batch, if it has one, was applied
// with an fsync under way.
type pending struct {
	commit uint64
	batch  *pebble.Batch
}

// commitOwn commits valid transactions of this store, which are not empty and
// all buffered or none, in one batch. It returns the dot of the first; those of
// the others follow. The caller holds commits.
func (ns *Namespace) commitOwn(ws []*Write) (first crdt.Dot, p pending, err error) {
	b := ns.store.engine.DB.NewBatch()
	first, err = ns.buildOwn(b, ws)
	if err == nil {
		err = ns.publish(!ws[0].Buffered, b, writes{own: ws}, func(h *history) {
			for i := range ws {
				h.commitOwn(crdt.Dot{Writer: first.Writer, Seq: first.Seq + uint64(i)})
			}
		})
	}
	if err != nil {
		ns.disown()
		return crdt.Dot{}, pending{}, errors.Join(err, b.Close())
	}
	commit := ns.history.visible.commit
	if ws[0].Buffered {
		b.Close() // cannot fail once it was applied
		return first, pending{commit: commit}, nil
	}
	return first, pending{commit, b}, nil
}

// checkWriter returns an error if a transaction of the given writer, or of
// any if that is zero, cannot be committed now. The caller holds commits.
func (ns *Namespace) checkWriter(w crdt.WriterID) error {
	now := ns.history.visible.own.Writer
	if ns.history.visible.own.Seq == 0 {
		now = ns.Writer()
	}
	if w != now && w != (crdt.WriterID{}) {
		return fmt.Errorf("%w: writer %s has ended", ErrConflict, w)
	}
	return nil
}

// disown gives up the writer of a commit that failed, if it was its first:
// the record that was made for it is in the lineage, and can be no other.
func (ns *Namespace) disown() {
	if ns.history.visible.own.Seq == 0 {
		ns.state.Lock()
		defer ns.state.Unlock()
		ns.writer = crdt.WriterID{}
	}
}

// settle ends a commit that is visible: it tells, and waits for the disk or
// lets the syncer do so.
func (ns *Namespace) settle(p pending, buffered bool) error {
	if p.commit == 0 {
		return nil
	}
	defer ns.store.users.Done()
	if ns.store.options.Visible != nil {
		ns.store.options.Visible(ns)
	}
	if buffered {
		ns.store.syncer.add(ns, false)
		return nil
	}
	err := ns.store.engine.wait(p.batch)
	if err = errors.Join(err, p.batch.Close()); err != nil {
		ns.noteFault()
		return ns.named("fsync a commit to", err)
	}
	ns.noteDurable(p.commit)
	return nil
}

// named says what was done to which namespace. All errors of reading it come
// by here, so damage that Pebble does not know of is found here.
func (ns *Namespace) named(doing string, err error) error {
	err = fmt.Errorf("%s namespace %q: %w", doing, ns.name, err)
	ns.store.engine.damaged(err)
	return err
}
