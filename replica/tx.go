package replica

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// Tx is one transaction: a crdt.Tx, so that every lens works on it. All that
// it reads is of one moment, with its own writes on top; what it writes
// becomes visible together, here and at every peer, when the closure that it
// was handed to has returned nil. It ends with the closure, and then answers
// with ErrTxEnded.
//
// An event that the transaction itself wrote reads with sequence number 0 and
// time 0: it has none before the commit. Not safe for concurrent use.
type Tx struct {
	ns     *Namespace
	moment int64 // what has expired by then is hidden; 0 until somebody asks
	// work is all else. Others use it again, and a closure may keep its Tx: so
	// a Tx is never used again, and has none once it has ended.
	work atomic.Pointer[work]
}

var (
	_ crdt.Tx     = (*Tx)(nil)
	_ crdt.Memo   = (*Tx)(nil)
	_ crdt.Lender = (*Tx)(nil)
)

// begin returns a transaction that works with w.
func (n *Namespace) begin(w *work) *Tx {
	tx := &Tx{ns: n}
	tx.work.Store(w)
	return tx
}

// Node returns the node that this database is of.
func (tx *Tx) Node() crdt.NodeID { return tx.ns.db.node }

// Writer returns the writer of this transaction's events.
func (tx *Tx) Writer() crdt.WriterID {
	w := tx.work.Load()
	if w == nil {
		return tx.ns.store.Writer()
	}
	if w.writer == (crdt.WriterID{}) {
		w.writer = tx.ns.store.Writer()
	}
	return w.writer
}

// NodeOf returns the node that a writer is a run of.
func (tx *Tx) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) {
	if w == tx.Writer() {
		return tx.Node(), true
	}
	return tx.ns.store.NodeOf(w)
}

// Put makes value the only event of k: it supersedes what is there when the
// transaction commits, read or not. It keeps no reference to value. Errors
// name the key: crdt.ErrPath for one that is malformed, crdt.ErrValue for a
// value over crdt.MaxValueBytes, ErrTooLarge beyond MaxTxOps and MaxTxBytes.
// After an error the transaction cannot commit.
func (tx *Tx) Put(k crdt.Key, value []byte) error {
	if len(value) > crdt.MaxValueBytes {
		return tx.refuse(fmt.Errorf("%w: %s: %d bytes, at most %d are allowed",
			crdt.ErrValue, describe(k), len(value), crdt.MaxValueBytes))
	}
	return tx.write(store.Op{Key: k, Value: value})
}

// PutUntil is Put of a value that expires at a time, in milliseconds since
// 1970. It fails with crdt.ErrExpiry, too.
func (tx *Tx) PutUntil(k crdt.Key, value []byte, expires int64) error {
	if err := crdt.CheckExpires(k, expires); err != nil {
		return tx.refuse(fmt.Errorf("%s: %w", describe(k), err))
	}
	if len(value) > crdt.MaxValueBytes {
		return tx.Put(k, value)
	}
	return tx.write(store.Op{Key: k, Value: value, Expires: expires})
}

// Expiring returns the transaction as one whose values expire a while after
// its moment, by this node's clock: from then on they read as removed, on every
// node whose clock says so. Every lens writes through it but counters, whose
// amounts cannot expire:
//
//	err := register.Set(tx.Expiring(time.Hour), value)
//
// A ttl under a millisecond is refused with crdt.ErrExpiry by what is written.
func (tx *Tx) Expiring(ttl time.Duration) crdt.Tx {
	expires := int64(0)
	if ms := ttl.Milliseconds(); ms > 0 {
		expires = max(tx.now(), 0) + ms
	}
	return crdt.Until(tx, expires)
}

// Time returns the moment of the transaction, by this node's clock: what has
// expired by then it does not read.
func (tx *Tx) Time() time.Time { return time.UnixMilli(tx.now()) }

// now returns the moment of the transaction: when it is first asked for, which
// most never do. Nothing that it has read before then hangs on it.
func (tx *Tx) now() int64 {
	if tx.moment == 0 {
		tx.moment = tx.ns.db.now()
	}
	return tx.moment
}

// at returns rec as it reads at the moment of the transaction.
func (tx *Tx) at(rec crdt.Record) crdt.Record {
	for i := range rec {
		if rec[i].Expires != 0 {
			return rec.At(tx.now())
		}
	}
	return rec
}

// Remove supersedes what is at k by a removal. Errors are those of Put.
func (tx *Tx) Remove(k crdt.Key) error {
	return tx.write(store.Op{Key: k, Removed: true})
}

func (tx *Tx) write(op store.Op) error {
	w := tx.work.Load()
	if w == nil {
		return tx.ns.failed("write", ErrTxEnded)
	}
	err := op.Key.Validate()
	if err == nil {
		err = w.writes.put(op)
	}
	if err != nil {
		return tx.refuse(err)
	}
	return nil
}

// refuse keeps the transaction from committing.
func (tx *Tx) refuse(err error) error {
	return tx.check(fmt.Errorf("transaction in namespace %q: %w", tx.ns.Name(), err))
}

// Get returns the record at k, removals included, or nil.
func (tx *Tx) Get(k crdt.Key) (crdt.Record, error) {
	w := tx.work.Load()
	if w != nil {
		if op, ok := w.writes.get(k); ok {
			return tx.record(op), nil
		}
	}
	if err := tx.pin(w); err != nil {
		return nil, err
	}
	w.reads.key(k)
	if rec, ok := w.pin.Cached(k); ok && !w.view.ended() {
		return tx.at(rec), nil
	}
	rec, err := tx.open(w).read(k)
	return rec, tx.check(err)
}

// Last returns the record with the greatest key in s.
func (tx *Tx) Last(s crdt.Span) (crdt.Entry, bool, error) {
	w := tx.work.Load()
	if err := tx.pin(w); err != nil {
		return crdt.Entry{}, false, err
	}
	own, written := w.writes.last(s)
	if written { // only what is behind it would be greater
		s.From = after(own.Key)
	}
	e, ok, err := tx.open(w).Last(s)
	if ok {
		s.From = e.Key // what comes before it was of no account
	}
	w.reads.span(s)
	if ok || !written || err != nil {
		return e, ok, tx.check(err)
	}
	return crdt.Entry{Key: own.Key, Record: tx.record(own)}, true, nil
}

// Scan yields the records in s in key order, removals included, with the
// transaction's writes of before the loop. Only what the loop has come by
// counts as read. It stops after the first error.
func (tx *Tx) Scan(s crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		w := tx.work.Load()
		if err := tx.pin(w); err != nil {
			yield(crdt.Entry{}, err)
			return
		}
		read := s
		defer func() {
			if tx.work.Load() != nil { // else the loop has outlived it
				w.reads.span(read)
			}
		}()
		for e, err := range merge(tx.open(w).Scan(s), w.writes.in(s), tx.record) {
			if !yield(e, tx.check(err)) {
				if err == nil {
					read.To = after(e.Key)
				}
				return
			}
		}
	}
}

// Recall is View.Recall; what the transaction wrote has changed. It counts as a
// read of s.
func (tx *Tx) Recall(s crdt.Span) (fold any, changed []crdt.Key) {
	w := tx.work.Load()
	if tx.pin(w) != nil {
		return nil, nil
	}
	if fold, changed = tx.open(w).Recall(s); fold == nil {
		return nil, nil
	}
	w.reads.span(s)
	for _, op := range w.writes.in(s) {
		changed = append(changed, op.Key)
	}
	return fold, changed
}

// Remember is View.Remember, unless the transaction has written in s: that may
// come to nothing.
func (tx *Tx) Remember(s crdt.Span, fold any, bytes int) {
	w := tx.work.Load()
	if w == nil || w.view == nil {
		return
	}
	if _, written := w.writes.last(s); !written {
		w.view.Remember(s, fold, bytes)
	}
}

// Lend returns memory to build the next value that is put in.
func (tx *Tx) Lend() []byte {
	w := tx.work.Load()
	if w == nil {
		return nil
	}
	return w.writes.lend()
}

// run runs fn, and returns what there is to commit, which may be nothing. The
// transaction has ended then; what it read is the caller's to let go of.
func (tx *Tx) run(ctx context.Context, o UpdateOptions, fn func(*Tx) error) (*store.Write, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := fn(tx); err != nil {
		return nil, err
	}
	w := tx.work.Swap(nil)
	if w.refused != nil {
		return nil, w.refused
	}
	if len(w.writes.ops) == 0 {
		return nil, nil
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	w.commit.Ops, w.commit.Buffered, w.commit.Writer = w.writes.ops, o.Buffered, w.writer
	if w.pinned {
		w.commit.Reads, w.commit.Snapshot = &w.reads.set, w.pin.Number()
	}
	return &w.commit, nil
}

// pin sees to it that there is something to read, of one moment from the first
// read on: a blind write needs nothing. w is the transaction's work.
func (tx *Tx) pin(w *work) error {
	if w == nil {
		return tx.ns.failed("read", ErrTxEnded)
	}
	if w.pinned {
		return nil
	}
	pin, err := tx.ns.pin()
	if err != nil {
		return tx.check(err)
	}
	w.pin, w.pinned = pin, true
	return nil
}

// open returns a view of what is pinned, for all that is not in memory.
func (tx *Tx) open(w *work) *View {
	if w.view == nil {
		w.view = &View{ns: tx.ns, pin: w.pin, moment: tx.now()}
	}
	return w.view
}

// check keeps a transaction that could not read or write from committing.
func (tx *Tx) check(err error) error {
	if w := tx.work.Load(); w != nil && w.refused == nil {
		w.refused = err
	}
	return err
}

// record is what an own write reads as: the only event of its key.
func (tx *Tx) record(op store.Op) crdt.Record {
	return tx.at(crdt.Record{{
		Dot:     crdt.Dot{Writer: tx.Writer()},
		Removed: op.Removed,
		Value:   op.Value,
		Expires: op.Expires,
	}})
}

// end ends the transaction, once what run returned is committed or is nothing,
// and leaves w to later ones.
func (tx *Tx) end(w *work) {
	tx.work.Store(nil)
	tx.ns.db.works.give(w)
}

// describe names a key in an error: its path and type.
func describe(k crdt.Key) string {
	p, t, _, err := k.Split()
	if err != nil {
		return fmt.Sprintf("key %q", string(k))
	}
	return fmt.Sprintf("%s %s", t, p)
}
