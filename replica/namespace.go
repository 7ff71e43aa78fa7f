package replica

import (
	"context"
	"errors"
	"sync"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// Namespace is the unit of replication, causality and atomicity: a
// transaction stays within one, and a peer holds all of it or nothing. Once
// it was dropped every call answers with ErrNoNamespace. Safe for concurrent
// use.
type Namespace struct {
	db    *DB
	store *store.Namespace
	gone  chan struct{} // closed when it was dropped
	adds  accumulators

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	counters *CounterStatus // nil: not measured since Open
	measured uint64         // the commit that counters are of
}

// Name returns the namespace's name.
func (n *Namespace) Name() string { return n.store.Name() }

// Vector returns the expanded version vector of what is visible: an entry for
// each run ever.
func (n *Namespace) Vector() crdt.Vector { return n.store.Vector() }

// UpdateOptions say how to commit. The zero value is a durable commit.
type UpdateOptions struct {
	// Buffered returns once the transaction is visible here; it is on disk
	// within Options.BufferedSync, and not pushed to a peer before. A
	// power cut in between undoes it, and what was committed after it. To add
	// to counters all the time, see Accumulator.
	Buffered bool
}

// Update runs fn as one transaction: all of its writes become visible
// together, here and at every peer, and are on disk when Update returns nil.
// If fn returns an error, nothing has happened and Update returns it.
//
// Transactions of one namespace are serializable: fn reads a snapshot, and if
// what it read was written meanwhile, by anyone, it runs again on a new one,
// three times in all. Then it runs alone, while every other commit of the
// namespace waits. So fn may run more than once: its effects belong into the
// transaction, or behind Update. And it must not update the same namespace by
// another call, nor drop it, nor close the database: when it runs alone it would wait for
// itself. Writes of what was not read, such as a register's, never conflict.
//
// The cause of ctx is returned, and nothing has happened, if ctx is cancelled
// before the commit has begun; after that the commit is brought to its end.
// ErrNotGranted says that this node may not write here, and ErrTooLarge that
// fn wrote more than MaxTxOps records or MaxTxBytes.
// A panic of fn passes through, and nothing has happened.
func (n *Namespace) Update(ctx context.Context, fn func(*Tx) error) error {
	return n.UpdateWith(ctx, UpdateOptions{}, fn)
}

// UpdateWith is Update with options.
func (n *Namespace) UpdateWith(ctx context.Context, o UpdateOptions, fn func(*Tx) error) error {
	if err := n.db.mayWrite(n.Name()); err != nil {
		return n.failed("update", err)
	}
	for range txTries {
		done, err := n.attempt(ctx, o, fn)
		if done {
			return err
		}
	}
	return n.updateAlone(ctx, o, fn)
}

// attempt runs fn beside others. It is not done if what fn read was written
// meanwhile.
func (n *Namespace) attempt(ctx context.Context, o UpdateOptions, fn func(*Tx) error) (done bool, err error) {
	w := n.db.works.take()
	tx := n.begin(w)
	defer tx.end(w)
	commit, err := tx.run(ctx, o, fn)
	if commit == nil {
		return true, err
	}
	w.unpin() // a snapshot holds disk space, and the fsync takes its time
	if err := n.db.gate.enter(); err != nil {
		return true, n.failed("commit", err)
	}
	defer n.db.gate.leave()
	_, err = n.store.Commit(commit)
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return true, err
}

// updateAlone runs fn under the commit lock, where nothing comes between.
func (n *Namespace) updateAlone(ctx context.Context, o UpdateOptions, fn func(*Tx) error) error {
	if err := n.db.gate.enter(); err != nil {
		return n.failed("commit", err)
	}
	defer n.db.gate.leave()
	w := n.db.works.take()
	tx := n.begin(w)
	defer tx.end(w)
	_, err := n.store.CommitExclusive(func(snap *store.Snapshot) (*store.Write, error) {
		w.pin, w.pinned = snap.Pin(), true
		w.view = &View{ns: n, pin: w.pin, snap: snap, moment: tx.now()}
		defer w.unpin()
		return tx.run(ctx, o, fn)
	})
	return err
}

// Sync returns when all that is visible now is on disk, and what was added to
// accumulators before. Errors are those of Flush, and those of the disk.
func (n *Namespace) Sync(ctx context.Context) error {
	return errors.Join(n.Flush(ctx), n.sync(ctx))
}

// sync is Sync without what is accumulated.
func (n *Namespace) sync(ctx context.Context) error {
	if err := n.db.gate.enter(); err != nil {
		return n.failed("sync", err)
	}
	defer n.db.gate.leave()
	return n.store.Sync(ctx)
}

// Digest returns the SHA-256 of what can be read, removals and values that
// expire left out, as crdt.Digest defines it. Peers with equal vectors have equal digests. It
// reads all records, and holds few of them at a time.
func (n *Namespace) Digest(ctx context.Context) (sum [32]byte, err error) {
	err = n.View(ctx, func(v *View) error {
		sum, err = crdt.Digest(cancellable{v, ctx})
		return err
	})
	return sum, err
}
