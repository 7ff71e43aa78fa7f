package crdt

import (
	"errors"
	"iter"
)

// Errors that lenses answer with; callers branch on them.
var (
	// ErrMissing says that nothing is at the path.
	ErrMissing = errors.New("not found")
	// ErrWrongType says that nothing of the type asked for is at the path,
	// but something of another type is. Errors name both.
	ErrWrongType = errors.New("another type is at this path")
	// ErrOverflow says that an amount does not fit its counter.
	ErrOverflow = errors.New("overflow")
	// ErrValue says that a value cannot be stored or does not decode.
	ErrValue = errors.New("invalid value")
	// ErrUnknownType says that a later release wrote what is there: it is
	// kept and passed on, but not read.
	ErrUnknownType = errors.New("unknown type")
)

// Entry is a record and its key.
type Entry struct {
	Key    Key
	Record Record
}

// View is a consistent read of one namespace, at one moment of the clock: what
// has expired by then it returns as removals (Record.At). Lenses read through
// it. Records that it returns must not be modified, and are valid as long as
// the View is.
type View interface {
	// Get returns the record at k, removals included, or nil.
	Get(k Key) (Record, error)
	// Scan yields the records in s in key order, removals included. It
	// stops after the first error.
	Scan(s Span) iter.Seq2[Entry, error]
	// Last returns the record with the greatest key in s.
	Last(s Span) (e Entry, ok bool, err error)
	// NodeOf returns the node that a writer is a run of.
	NodeOf(w WriterID) (NodeID, bool)
}

// Tx is a View that also writes. All that it writes shares one dot, and
// becomes visible together, here and at every peer. Its reads see its writes,
// as events of Writer with one seq for all of them, which no other event has:
// that of the dot to come, or 0 where it is not known yet.
type Tx interface {
	View
	// Put makes value the only event of k: it supersedes what is there. It
	// keeps no reference to value. Over MaxValueBytes it returns ErrValue.
	Put(k Key, value []byte) error
	// PutUntil is Put of a value that reads as a removal from a time on, in
	// milliseconds since 1970. ErrExpiry is that of CheckExpires.
	PutUntil(k Key, value []byte, expires int64) error
	// Remove supersedes what is at k by a removal.
	Remove(k Key) error
	// Writer returns the writer of this transaction's events.
	Writer() WriterID
	// Node returns the node that Writer is a run of.
	Node() NodeID
}

// Lender is what a Tx may be, too: one that lends memory to build a value in,
// so that a write allocates none.
type Lender interface {
	Tx
	// Lend returns an empty slice, which may have room. It is the caller's
	// until the next call of the Tx, and may be handed to that.
	Lend() []byte
}

// lend returns memory to build a value in that is then put in tx.
func lend(tx Tx) []byte {
	if l, ok := tx.(Lender); ok {
		return l.Lend()
	}
	return nil
}

// Memo is what a View may be, too: one that remembers what a lens made of many
// records, so that the lens reads again only those that changed. What was made
// must follow from the records alone: what expires changes without them.
type Memo interface {
	View
	// Recall returns what Remember was told of s, of this View or an earlier
	// one, and the keys in s of all records that have changed since, and
	// maybe others; or nil.
	Recall(s Span) (fold any, changed []Key)
	// Remember may keep what was made of the records in s, in the place of
	// what it was told of s before. fold takes that many bytes of memory,
	// and must not be modified any more.
	Remember(s Span, fold any, bytes int)
}
