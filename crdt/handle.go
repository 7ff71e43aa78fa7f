package crdt

import (
	"errors"
	"fmt"
	"iter"
	"slices"
)

// handle is where the records of one lens at one path are; each lens's handle
// is one. It encodes the key once, so that a handle that is kept costs its
// operations nothing. A handle is a value, safe for concurrent use; an invalid
// path shows at its first operation.
type handle struct {
	path Path
	kind Type
	key  Key   // the key of the single record, or the prefix of several
	err  error // what is wrong with the path
}

func newHandle(p Path, t Type) handle {
	k, err := MakeKey(p, t, "")
	return handle{path: slices.Clone(p), kind: t, key: k, err: err}
}

// Path returns the path that the handle is of. It must not be modified.
func (h handle) Path() Path { return h.path }

// fail says where an error happened, unless it says so itself.
func (h handle) fail(err error) error {
	if _, said := err.(*LeafError); said || err == nil {
		return err
	}
	return &LeafError{Leaf{h.path, h.kind}, err}
}

// LeafError says at which path, and with which type, an operation failed. Err
// is the cause, one of this package's errors or one of the View or Tx.
type LeafError struct {
	Leaf
	Err error
}

// Error implements error.
func (e *LeafError) Error() string {
	return fmt.Sprintf("%s at %q: %v", e.Type, e.Path.String(), e.Err)
}

// Unwrap returns the cause.
func (e *LeafError) Unwrap() error { return e.Err }

// at returns the key of the record at sub.
func (h handle) at(sub string) (Key, error) {
	if h.err != nil {
		return "", h.err
	}
	if h.key == "" {
		return "", fmt.Errorf("%w: a handle that no constructor made", ErrPath)
	}
	if n := len(h.key) + len(sub); n > MaxKeyBytes {
		return "", fmt.Errorf("%w: key of %d bytes, at most %d are allowed", ErrPath, n, MaxKeyBytes)
	}
	return h.key + Key(sub), nil
}

// get returns the values of the record at sub, without removals.
func (h handle) get(v View, sub string) (Record, error) {
	k, err := h.at(sub)
	if err != nil {
		return nil, h.fail(err)
	}
	return h.getKey(v, k)
}

// getKey is get of a key that at returned.
func (h handle) getKey(v View, k Key) (Record, error) {
	rec, err := v.Get(k)
	return rec.Visible(), h.fail(err)
}

// put writes the record at sub.
func (h handle) put(tx Tx, sub string, value []byte) error {
	k, err := h.at(sub)
	if err == nil {
		err = tx.Put(k, value)
	}
	return h.fail(err)
}

// remove removes the record at sub if it has a value, and reports whether it
// had one.
func (h handle) remove(tx Tx, sub string) (found bool, err error) {
	rec, err := h.get(tx, sub)
	if err != nil || len(rec) == 0 {
		return false, err
	}
	return true, h.fail(tx.Remove(h.key + Key(sub)))
}

// item is one record of a lens: its values, without removals.
type item struct {
	sub string
	rec Record
}

// items yields, in key order, the records with a value whose sub begins with
// prefix.
func (h handle) items(v View, prefix string) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		from, err := h.at(prefix)
		if err != nil {
			yield(item{}, h.fail(err))
			return
		}
		h.itemsIn(v, Span{from, successor(from)})(yield)
	}
}

// itemsIn yields, in key order, the records with a value in a span of the
// lens's keys.
func (h handle) itemsIn(v View, s Span) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for e, err := range v.Scan(s) {
			if err != nil {
				yield(item{}, h.fail(err))
				return
			}
			rec := e.Record.Visible()
			if len(rec) > 0 && !yield(item{string(e.Key[len(h.key):]), rec}, nil) {
				return
			}
		}
	}
}

// collect returns what items yields. Who writes must collect first: whether a
// scan sees what its transaction writes meanwhile is not said.
func (h handle) collect(v View, prefix string) (items []item, err error) {
	for it, err := range h.items(v, prefix) {
		if err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	return items, nil
}

// missing returns why nothing was found: ErrWrongType if nothing of the type
// is at the path and something of another type is, else ErrMissing.
func (h handle) missing(v View) error {
	for it, err := range h.items(v, "") {
		if err != nil {
			return err
		}
		if shows(h.kind, it.sub, it.rec) {
			return h.fail(ErrMissing) // it is another element that is missing
		}
	}
	here, err := h.path.Here()
	if err != nil {
		return h.fail(err)
	}
	for other, err := range Leaves(v, here) {
		if err == nil {
			err = fmt.Errorf("%w: %s", ErrWrongType, other.Type)
		}
		return h.fail(err)
	}
	return h.fail(ErrMissing)
}

// absent is missing for types whose state without any record is a state: it
// is an error only if another type is at the path.
func (h handle) absent(v View) error {
	if err := h.missing(v); !errors.Is(err, ErrMissing) {
		return err
	}
	return nil
}
