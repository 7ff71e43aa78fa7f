package crdt

import (
	"fmt"
	"iter"
	"slices"
)

// Leaf names what is at one path and of one type.
type Leaf struct {
	Path Path
	Type Type
}

// Leaves yields what there is in s, of whatever type, in key order: by path,
// then by type byte. It stops after the first error. Types of later releases
// are among it.
func Leaves(v View, s Span) iter.Seq2[Leaf, error] {
	return func(yield func(Leaf, error) bool) {
		var last Key // the key of the last leaf, up to its type
		for e, err := range v.Scan(s) {
			if err != nil {
				yield(Leaf{}, err)
				return
			}
			path, t, sub, err := e.Key.Split()
			if err != nil {
				yield(Leaf{}, err)
				return
			}
			prefix := e.Key[:len(e.Key)-len(sub)]
			if prefix == last || !shows(t, sub, e.Record) {
				continue
			}
			last = prefix
			if !yield(Leaf{path, t}, nil) {
				return
			}
		}
	}
}

// leafItems is a leaf and all of its records that have a value.
type leafItems struct {
	Leaf
	items []item
}

// groups is Leaves with the records, read in one scan.
func groups(v View, s Span) iter.Seq2[leafItems, error] {
	return func(yield func(leafItems, error) bool) {
		var g leafItems
		var last Key
		flush := func() bool {
			return !g.shows() || yield(g, nil)
		}
		for e, err := range v.Scan(s) {
			var leaf Leaf
			var sub string
			if err == nil {
				leaf.Path, leaf.Type, sub, err = e.Key.Split()
			}
			if err != nil {
				yield(leafItems{}, err)
				return
			}
			if prefix := e.Key[:len(e.Key)-len(sub)]; prefix != last {
				if !flush() {
					return
				}
				g, last = leafItems{Leaf: leaf}, prefix
			}
			if rec := e.Record.Visible(); len(rec) > 0 {
				g.items = append(g.items, item{sub, rec})
			}
		}
		flush()
	}
}

// shows reports whether the leaf is there.
func (g leafItems) shows() bool {
	return slices.ContainsFunc(g.items, func(it item) bool { return shows(g.Type, it.sub, it.rec) })
}

// shows reports whether rec, at sub, makes a leaf of type t be there.
func shows(t Type, sub string, rec Record) bool {
	switch t {
	case TypeRegister, TypeMultiValue, TypeFlagEnable, TypeFlagDisable, TypeMax, TypeMin:
		if sub != "" {
			return false // a single record has no sub: this is none of ours
		}
	case TypeCounter:
		if !isCounterAmount(sub) {
			return false // a floor alone is what a deleted counter leaves
		}
	}
	return slices.ContainsFunc(rec, func(e Event) bool { return !e.Removed })
}

// Fold returns what is at p of type t, as one value: an integer for a counter,
// a boolean for a flag, a number for a max or a min, an array ordered by
// encoded bytes for a set, arrays in their order for a log and a multi-value
// register. Errors are ErrMissing, ErrWrongType, ErrValue, ErrOverflow for a
// counter that fits neither int64 nor uint64, and ErrUnknownType.
func Fold(v View, p Path, t Type) (Raw, error) { return foldAt(v, p, t, leafItems.fold) }

// FoldJSON is Fold as JSON text, as ToJSON writes it, without a bound on what
// a counter counts: it is an integer of as many digits as it takes.
func FoldJSON(v View, p Path, t Type) ([]byte, error) { return foldAt(v, p, t, leafItems.text) }

func foldAt[R ~[]byte](v View, p Path, t Type, fold func(leafItems) (R, error)) (R, error) {
	at := newHandle(p, t)
	items, err := at.collect(v, "")
	if err != nil {
		return nil, err
	}
	leaf := leafItems{Leaf{at.path, t}, items}
	if !leaf.shows() {
		return nil, at.missing(v)
	}
	value, err := fold(leaf)
	return value, at.fail(err)
}

// fold folds a leaf that is there.
func (g leafItems) fold() (value Raw, err error) {
	items, t := g.items, g.Type
	switch rec := items[0].rec; t {
	case TypeRegister:
		value, err = Canonical(rec.Winner().Value)
	case TypeMultiValue:
		value, err = foldSiblings(rec)
	case TypeFlagEnable, TypeFlagDisable:
		var on bool
		on, err = foldFlag(t, rec)
		value = AppendBool(nil, on)
	case TypeMax, TypeMin:
		var e *Event
		if e, _, err = foldExtremum(t, rec); err == nil {
			value, err = Canonical(e.Value)
		}
	case TypeSetAddWins, TypeSetRemWins:
		value, err = foldSet(t, items)
	case TypeLog:
		value, err = foldLog(items)
	case TypeCounter:
		value, err = foldCounter(items)
	default:
		err = fmt.Errorf("%w %#02x", ErrUnknownType, byte(t))
	}
	return value, err
}

// text is fold as JSON text, with counters of any size.
func (g leafItems) text() ([]byte, error) {
	if g.Type == TypeCounter {
		t, err := readTally(g.items)
		if err != nil {
			return nil, err
		}
		return t.sum().big().Append(nil, 10), nil
	}
	value, err := g.fold()
	if err != nil {
		return nil, err
	}
	return ToJSON(value)
}

// appendCanonical appends the canonical form of one element to an array that
// is being made.
func appendCanonical(dst Raw, value []byte) (Raw, error) {
	c, err := Canonical(value)
	return append(dst, c...), err
}

// RemoveAt removes all that there is at p of type t, as the lens's own Delete
// does, and reports whether there was anything. What is written concurrently
// survives. It removes types of later releases, too.
func RemoveAt(tx Tx, p Path, t Type) (found bool, err error) {
	at := newHandle(p, t)
	if t == TypeCounter {
		return Counter{at}.Delete(tx)
	}
	items, err := at.collect(tx, "")
	if err != nil {
		return false, err
	}
	for _, it := range items {
		if err := tx.Remove(at.key + Key(it.sub)); err != nil {
			return false, at.fail(err)
		}
	}
	return len(items) > 0, nil
}

// removeSpan removes all that there is in s, counters by resetting them.
func removeSpan(tx Tx, s Span) (found bool, err error) {
	var leaves []Leaf
	for leaf, err := range Leaves(tx, s) {
		if err != nil {
			return false, err
		}
		leaves = append(leaves, leaf)
	}
	for _, leaf := range leaves {
		if _, err := RemoveAt(tx, leaf.Path, leaf.Type); err != nil {
			return false, err
		}
	}
	return len(leaves) > 0, nil
}
