package crdt

import (
	"fmt"
	"iter"
)

// SetPolicy says whether an element that was added and removed concurrently
// is in the set. It is part of the set's type: sets of either policy at one
// path are two sets.
type SetPolicy byte

const (
	// AddWins keeps an element if any of the concurrent writes added it.
	AddWins SetPolicy = iota
	// RemoveWins leaves an element out if any of the concurrent writes
	// removed it. Removals are values here, and stay: one small record per
	// element that was ever removed.
	RemoveWins
)

// String returns the policy's name.
func (p SetPolicy) String() string {
	switch p {
	case AddWins:
		return "add-wins"
	case RemoveWins:
		return "remove-wins"
	}
	return fmt.Sprintf("unknown policy %d", byte(p))
}

// Set is a set of elements of type T. Two elements are one if their canonical
// encodings are equal: 1 and 1.0 are two. Each element is a record of its own,
// so a set of any size costs a write nothing.
type Set[T any] struct{ handle }

// NewSet returns the set at the path of the given parts.
func NewSet[T any](policy SetPolicy, parts ...string) Set[T] { return SetAt[T](policy, parts) }

// SetAt returns the set at p.
func SetAt[T any](policy SetPolicy, p Path) Set[T] {
	switch policy {
	case AddWins:
		return Set[T]{newHandle(p, TypeSetAddWins)}
	case RemoveWins:
		return Set[T]{newHandle(p, TypeSetRemWins)}
	}
	return Set[T]{handle{path: p, err: fmt.Errorf("%w: set with %s", ErrValue, policy)}}
}

// Add puts an element into the set. It reads nothing, and writes even if the
// element is there already: a write is what wins against a concurrent removal.
// An element must fit a key with its path (MaxKeyBytes); the error otherwise
// wraps ErrPath.
func (s Set[T]) Add(tx Tx, element T) error {
	sub, err := Encode(element)
	if err != nil {
		return s.fail(err)
	}
	return s.put(tx, string(sub), AppendBool(nil, true))
}

// Remove takes an element out of the set, and reports whether it was in. A
// remove-wins set writes in any case, so that the removal wins also over an
// addition that it has not seen; that memory may expire (Until).
func (s Set[T]) Remove(tx Tx, element T) (found bool, err error) {
	sub, err := Encode(element)
	if err != nil {
		return false, s.fail(err)
	}
	if s.kind == TypeSetAddWins {
		return s.remove(tx, string(sub))
	}
	if found, err = s.contains(tx, string(sub)); err != nil {
		return false, err
	}
	return found, s.put(tx, string(sub), AppendBool(nil, false))
}

// Contains reports whether element is in the set. An element that is not in
// is no error, unless nothing of the set is there and something of another
// type is: ErrWrongType.
func (s Set[T]) Contains(v View, element T) (bool, error) {
	sub, err := Encode(element)
	if err != nil {
		return false, s.fail(err)
	}
	found, err := s.contains(v, string(sub))
	if err == nil && !found {
		err = s.absent(v)
	}
	return found, err
}

func (s Set[T]) contains(v View, sub string) (bool, error) {
	rec, err := s.get(v, sub)
	if err != nil {
		return false, err
	}
	in, err := foldElement(s.kind, rec)
	return in, s.fail(err)
}

// All yields the elements in the order of their encoded bytes. It stops after
// the first error: those of List.
func (s Set[T]) All(v View) iter.Seq2[T, error] { return values(s.Items(v)) }

// Items is All, with when each element expires: when the last of the
// concurrent writes that keep it in does.
func (s Set[T]) Items(v View) iter.Seq2[Item[T], error] {
	return func(yield func(Item[T], error) bool) {
		var zero Item[T]
		some := false
		for it, err := range s.items(v, "") {
			if err != nil {
				yield(zero, err)
				return
			}
			some = true
			element, in, err := s.element(it)
			if err != nil {
				yield(zero, s.fail(err))
				return
			}
			if in && !yield(Item[T]{element, it.rec.lastExpires()}, nil) {
				return
			}
		}
		if some {
			return
		}
		if err := s.absent(v); err != nil {
			yield(zero, err)
		}
	}
}

func (s Set[T]) element(it item) (element T, in bool, err error) {
	if in, err = foldElement(s.kind, it.rec); !in || err != nil {
		return element, false, err
	}
	element, err = Decode[T]([]byte(it.sub))
	return element, true, err
}

// List returns the elements in the order of their encoded bytes. A set that
// was never written is empty. Errors are ErrWrongType if nothing of the set is
// there and something of another type is, and ErrValue if an element does not
// decode into a T.
func (s Set[T]) List(v View) ([]T, error) {
	var out []T
	for element, err := range s.All(v) {
		if err != nil {
			return nil, err
		}
		out = append(out, element)
	}
	return out, nil
}

// Delete removes all elements that the transaction can see, and reports
// whether there were any. Of a remove-wins set it removes the memory of
// removals, too.
func (s Set[T]) Delete(tx Tx) (found bool, err error) {
	if s.err != nil {
		return false, s.fail(s.err)
	}
	return RemoveAt(tx, s.path, s.kind)
}

// foldElement reports whether the element that rec is of is in the set.
func foldElement(t Type, rec Record) (in bool, err error) {
	if t == TypeSetAddWins {
		return len(rec) > 0, nil
	}
	for i := range rec {
		if in, err = readBool(&rec[i]); !in || err != nil {
			return false, err
		}
	}
	return len(rec) > 0, nil
}

func foldSet(t Type, items []item) (Raw, error) {
	var elements []byte
	n := 0
	for _, it := range items {
		in, err := foldElement(t, it.rec)
		if err == nil && in {
			elements, err = appendCanonical(elements, []byte(it.sub))
			n++
		}
		if err != nil {
			return nil, err
		}
	}
	return append(AppendArray(nil, n), elements...), nil
}
