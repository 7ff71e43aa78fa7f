package crdt

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// Log is an append-only log of values of type T. Entries are ordered by an
// index, then by writer: an append takes the index behind all that it has
// seen, so what was appended after another was seen comes after it, on every
// node; concurrent appends interleave, the same everywhere. Each entry is a
// record of its own.
//
// The index is a Lamport clock: Lamport, "Time, Clocks, and the Ordering of
// Events in a Distributed System", 1978.
type Log[T any] struct{ handle }

// An entry's sub is index(8, big-endian) writer(16).
const logIndexBytes = 8

// NewLog returns the log at the path of the given parts.
func NewLog[T any](parts ...string) Log[T] { return LogAt[T](parts) }

// LogAt returns the log at p.
func LogAt[T any](p Path) Log[T] { return Log[T]{newHandle(p, TypeLog)} }

// Append adds an entry at the end. ErrOverflow says that the last index is
// taken, which takes a peer that lies.
func (l Log[T]) Append(tx Tx, value T) error {
	b, err := Encode(value)
	if err != nil {
		return l.fail(err)
	}
	next, err := l.nextIndex(tx)
	if err != nil {
		return l.fail(err)
	}
	w := tx.Writer()
	sub := append(binary.BigEndian.AppendUint64(nil, next), w[:]...)
	return l.put(tx, string(sub), b)
}

// nextIndex returns the index behind all entries, removed ones included.
func (l Log[T]) nextIndex(v View) (uint64, error) {
	from, err := l.at("")
	if err != nil {
		return 0, err
	}
	last, ok, err := v.Last(Span{from, successor(from)})
	if err != nil || !ok {
		return 1, err
	}
	sub := last.Key[len(l.key):]
	if len(sub) < logIndexBytes {
		return 0, fmt.Errorf("%w: log entry with a key of %d bytes", ErrValue, len(sub))
	}
	i := bigEndian([]byte(sub[:logIndexBytes]))
	if i == math.MaxUint64 {
		return 0, fmt.Errorf("%w: the last index is taken", ErrOverflow)
	}
	return i + 1, nil
}

// All yields the entries from the oldest on. It stops after the first error:
// those of List.
func (l Log[T]) All(v View) iter.Seq2[T, error] { return values(l.Items(v)) }

// Items is All, with when each entry expires.
func (l Log[T]) Items(v View) iter.Seq2[Item[T], error] {
	return func(yield func(Item[T], error) bool) {
		var zero Item[T]
		some := false
		for it, err := range l.items(v, "") {
			if err != nil {
				yield(zero, err)
				return
			}
			some = true
			won := it.rec.Winner()
			value, err := Decode[T](won.Value)
			if err != nil {
				yield(zero, l.fail(err))
				return
			}
			if !yield(Item[T]{value, won.Expires}, nil) {
				return
			}
		}
		if some {
			return
		}
		if err := l.absent(v); err != nil {
			yield(zero, err)
		}
	}
}

// List returns the entries from the oldest on. A log that was never written is
// empty. Errors are ErrWrongType if no entry is there and something of another
// type is, and ErrValue if an entry does not decode into a T.
func (l Log[T]) List(v View) ([]T, error) {
	var out []T
	for value, err := range l.All(v) {
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

// Trim removes the oldest entries, so that at most keep are left, and returns
// how many it removed. What is appended concurrently survives it.
func (l Log[T]) Trim(tx Tx, keep int) (removed int, err error) {
	items, err := l.collect(tx, "")
	if err != nil {
		return 0, err
	}
	for ; removed < len(items)-max(keep, 0); removed++ {
		if err := tx.Remove(l.key + Key(items[removed].sub)); err != nil {
			return removed, l.fail(err)
		}
	}
	return removed, nil
}

// Delete removes all entries that the transaction can see, and reports whether
// there were any.
func (l Log[T]) Delete(tx Tx) (found bool, err error) {
	n, err := l.Trim(tx, 0)
	return n > 0, err
}

func foldLog(items []item) (value Raw, err error) {
	value = AppendArray(nil, len(items))
	for _, it := range items {
		if value, err = appendCanonical(value, it.rec.Winner().Value); err != nil {
			return nil, err
		}
	}
	return value, nil
}
