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
	moment int64         // of view, or of the first Expiring; 0 before
	view   *View         // nil until the first read: a blind write needs none
	work   *work         // nil once the transaction is over
	writer crdt.WriterID // zero until asked for
	// refused is the first write or read that failed. A transaction that
	// lacks a part of itself does not commit, even where the closure
	// overlooks the error.
	refused error
	ended   atomic.Bool
}

var (
	_ crdt.Tx     = (*Tx)(nil)
	_ crdt.Memo   = (*Tx)(nil)
	_ crdt.Lender = (*Tx)(nil)
)

// begin returns a transaction, whose caller ends it by close.
func (n *Namespace) begin() *Tx { return &Tx{ns: n, work: n.db.works.take()} }

// Node returns the node that this database is of.
func (tx *Tx) Node() crdt.NodeID { return tx.ns.db.node }

// Writer returns the writer of this transaction's events.
func (tx *Tx) Writer() crdt.WriterID {
	if tx.writer == (crdt.WriterID{}) {
		tx.writer = tx.ns.store.Writer()
	}
	return tx.writer
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

// now returns the moment of the transaction.
func (tx *Tx) now() int64 {
	switch {
	case tx.view != nil:
		return tx.view.moment
	case tx.moment == 0:
		tx.moment = tx.ns.db.now()
	}
	return tx.moment
}

// Remove supersedes what is at k by a removal. Errors are those of Put.
func (tx *Tx) Remove(k crdt.Key) error {
	return tx.write(store.Op{Key: k, Removed: true})
}

func (tx *Tx) write(op store.Op) error {
	if tx.ended.Load() {
		return tx.ns.failed("write", ErrTxEnded)
	}
	err := op.Key.Validate()
	if err == nil {
		err = tx.work.writes.put(op)
	}
	if err != nil {
		return tx.refuse(err)
	}
	return nil
}

// refuse keeps the transaction from committing.
func (tx *Tx) refuse(err error) error {
	err = fmt.Errorf("transaction in namespace %q: %w", tx.ns.Name(), err)
	if tx.refused == nil {
		tx.refused = err
	}
	return err
}

// Get returns the record at k, removals included, or nil.
func (tx *Tx) Get(k crdt.Key) (crdt.Record, error) {
	if !tx.ended.Load() {
		if op, ok := tx.work.writes.get(k); ok {
			return tx.record(op), nil
		}
	}
	v, err := tx.open()
	if err != nil {
		return nil, err
	}
	tx.work.reads.key(k)
	rec, err := v.Get(k)
	return rec, tx.check(err)
}

// Last returns the record with the greatest key in s.
func (tx *Tx) Last(s crdt.Span) (crdt.Entry, bool, error) {
	v, err := tx.open()
	if err != nil {
		return crdt.Entry{}, false, err
	}
	own, written := tx.work.writes.last(s)
	if written { // only what is behind it would be greater
		s.From = after(own.Key)
	}
	e, ok, err := v.Last(s)
	if ok {
		s.From = e.Key // what comes before it was of no account
	}
	tx.work.reads.span(s)
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
		v, err := tx.open()
		if err != nil {
			yield(crdt.Entry{}, err)
			return
		}
		read := s
		defer func() {
			if !tx.ended.Load() { // else the loop has outlived it
				tx.work.reads.span(read)
			}
		}()
		for e, err := range merge(v.Scan(s), tx.work.writes.in(s), tx.record) {
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
	v, err := tx.open()
	if err != nil {
		return nil, nil
	}
	if fold, changed = v.Recall(s); fold == nil {
		return nil, nil
	}
	tx.work.reads.span(s)
	for _, op := range tx.work.writes.in(s) {
		changed = append(changed, op.Key)
	}
	return fold, changed
}

// Remember is View.Remember, unless the transaction has written in s: that may
// come to nothing.
func (tx *Tx) Remember(s crdt.Span, fold any, bytes int) {
	if tx.view == nil || tx.ended.Load() {
		return
	}
	if _, written := tx.work.writes.last(s); !written {
		tx.view.Remember(s, fold, bytes)
	}
}

// Lend returns memory to build the next value that is put in.
func (tx *Tx) Lend() []byte {
	if tx.ended.Load() {
		return nil
	}
	return tx.work.writes.lend()
}

// run runs fn, and returns what there is to commit, which may be nothing.
func (tx *Tx) run(ctx context.Context, o UpdateOptions, fn func(*Tx) error) (*store.Write, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := fn(tx); err != nil {
		return nil, err
	}
	tx.ended.Store(true)
	if tx.refused != nil {
		return nil, tx.refused
	}
	w := tx.work
	if len(w.writes.ops) == 0 {
		return nil, nil
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	w.commit = store.Write{Ops: w.writes.ops, Buffered: o.Buffered, Writer: tx.writer}
	if tx.view != nil {
		w.commit.Reads, w.commit.Snapshot = &w.reads.set, tx.view.pin.Number()
	}
	return &w.commit, nil
}

// open returns the view that the transaction reads, from its first read on.
func (tx *Tx) open() (*View, error) {
	if tx.ended.Load() {
		return nil, tx.ns.failed("read", ErrTxEnded)
	}
	if tx.view == nil {
		v, err := tx.ns.view()
		if err != nil {
			return nil, tx.check(err)
		}
		if tx.moment != 0 {
			v.moment = tx.moment
		}
		tx.view = v
	}
	return tx.view, nil
}

// check keeps a transaction that could not read from committing.
func (tx *Tx) check(err error) error {
	if err != nil && tx.refused == nil {
		tx.refused = err
	}
	return err
}

// record is what an own write reads as: the only event of its key.
func (tx *Tx) record(op store.Op) crdt.Record {
	return crdt.Record{{
		Dot:     crdt.Dot{Writer: tx.Writer()},
		Removed: op.Removed,
		Value:   op.Value,
		Expires: op.Expires,
	}}.At(tx.now())
}

// end lets go of what the transaction reads.
func (tx *Tx) end() {
	tx.ended.Store(true)
	if tx.view != nil {
		tx.view.end(ErrTxEnded)
	}
}

// close is end, once what run returned is committed or is nothing.
func (tx *Tx) close() {
	tx.end()
	tx.ns.db.works.give(tx.work)
	tx.work = nil
}

// describe names a key in an error: its path and type.
func describe(k crdt.Key) string {
	p, t, _, err := k.Split()
	if err != nil {
		return fmt.Sprintf("key %q", string(k))
	}
	return fmt.Sprintf("%s %s", t, p)
}
