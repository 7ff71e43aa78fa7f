package crdt

import (
	"errors"
	"fmt"
	"iter"
	"slices"
)

// A value may expire: at a time that its writer set, in milliseconds since
// 1970. From that moment on it reads as a removal: of what was written
// concurrently the rest shows, and what it superseded does not come back. So
// what can be read follows from the events and the time alone, on every node.

// ErrExpiry says that a value cannot expire then, or not at all: the amounts
// of a counter only grow, so none of them may leave.
var ErrExpiry = errors.New("invalid expiry")

var errCounterExpiry = fmt.Errorf("%w: a counter's amounts only grow, so they cannot expire", ErrExpiry)

// MaxExpires is the greatest time that a value can expire at, that of the
// greatest Timestamp, in the year 10889.
const MaxExpires = maxMillis

// Expired reports whether e reads as a removal at a time in milliseconds since
// 1970.
func (e *Event) Expired(millis int64) bool { return e.Expires != 0 && e.Expires <= millis }

// At returns rec as it reads at a time in milliseconds since 1970: with
// removals in the place of what has expired. It may share memory with rec.
// Every View does this to the records that it returns.
func (rec Record) At(millis int64) Record {
	expired := func(e Event) bool { return e.Expired(millis) }
	if !slices.ContainsFunc(rec, expired) {
		return rec
	}
	out := slices.Clone(rec)
	for i := range out {
		if e := &out[i]; e.Expired(millis) {
			*e = Event{Dot: e.Dot, Time: e.Time, Removed: true}
		}
	}
	return out
}

// Until returns tx as one whose values all expire at a time in milliseconds
// since 1970, 1 to MaxExpires. Every lens writes through it:
//
//	err := register.Set(crdt.Until(tx, now+ttl), value)
//
// Reads and removals are those of tx. Counters refuse to Add with ErrExpiry.
func Until(tx Tx, expires int64) Tx { return untilTx{lasting(tx), expires} }

// untilTx is what Until returns.
type untilTx struct {
	Tx
	expires int64
}

// Put implements Tx.
func (tx untilTx) Put(k Key, value []byte) error { return tx.PutUntil(k, value, tx.expires) }

// lasting returns the transaction under Until, for writes that must not
// expire.
func lasting(tx Tx) Tx {
	if u, ok := tx.(untilTx); ok {
		return u.Tx
	}
	return tx
}

// expiryOf returns when what is put in tx expires, 0 for never.
func expiryOf(tx Tx) int64 {
	if u, ok := tx.(untilTx); ok {
		return u.expires
	}
	return 0
}

// CheckExpires returns an error that wraps ErrExpiry if a value at k cannot
// expire at that time. Whoever implements Tx checks with it.
func CheckExpires(k Key, expires int64) error {
	if expires < 1 || expires > MaxExpires {
		return fmt.Errorf("%w: %d ms since 1970, want 1 to %d", ErrExpiry, expires, int64(MaxExpires))
	}
	if _, t, _, err := k.Split(); err == nil && t == TypeCounter {
		return errCounterExpiry
	}
	return nil
}

// Item is an element of a set or an entry of a log.
type Item[T any] struct {
	Value T
	// Expires is when it leaves, in milliseconds since 1970; 0 for never.
	Expires int64
}

// values yields the values of items.
func values[T any](items iter.Seq2[Item[T], error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for it, err := range items {
			if !yield(it.Value, err) {
				return
			}
		}
	}
}

// outlasts reports whether what expires at a is there for longer than what
// expires at b; 0 is never.
func outlasts(a, b int64) bool { return b != 0 && (a == 0 || a > b) }

// expires returns when the last of the values in rec that show accepts
// expires, 0 for never.
func (rec Record) expires(shown func(e *Event) bool) int64 {
	last := int64(-1)
	for i := range rec {
		if e := &rec[i]; !e.Removed && shown(e) && (last < 0 || outlasts(e.Expires, last)) {
			last = e.Expires
		}
	}
	return max(last, 0)
}

// lastExpires is expires of all values.
func (rec Record) lastExpires() int64 { return rec.expires(func(*Event) bool { return true }) }

// Expiry returns when what Fold gives for p and t changes by an expiry, in
// milliseconds since 1970: for a register, a flag, a max or a min when the
// value that is shown expires, for the others when the first of the values
// that are there does. 0 is never. Errors are those of Fold.
func Expiry(v View, p Path, t Type) (expires int64, err error) {
	at := newHandle(p, t)
	items, err := at.collect(v, "")
	if err != nil {
		return 0, err
	}
	leaf := leafItems{Leaf{at.path, t}, items}
	if !leaf.shows() {
		return 0, at.missing(v)
	}
	expires, err = leaf.expires()
	return expires, at.fail(err)
}

// expires is Expiry of a leaf that is there.
func (g leafItems) expires() (first int64, err error) {
	switch rec := g.items[0].rec; g.Type {
	case TypeCounter:
		return 0, nil
	case TypeRegister:
		return rec.Winner().Expires, nil
	case TypeFlagEnable, TypeFlagDisable:
		on, err := foldFlag(g.Type, rec)
		return rec.expires(func(e *Event) bool {
			value, failed := readBool(e)
			return failed == nil && value == on
		}), err
	case TypeMax, TypeMin:
		_, best, err := foldExtremum(g.Type, rec)
		return numberExpires(rec, best), err
	}
	for _, it := range g.items {
		for i := range it.rec {
			if e := it.rec[i].Expires; outlasts(first, e) {
				first = e
			}
		}
	}
	return first, nil
}
