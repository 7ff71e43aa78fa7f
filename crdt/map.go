package crdt

import (
	"fmt"
	"slices"
)

// Map is a nested map: all that lies at a path and below it. Its scalars and
// arrays are registers (NewRegister at the leaf's path reads and writes one),
// and it may hold anything else: counters, sets, flags, logs. T is the Go form
// of the whole: a struct, a map[string]any, or Raw.
//
// Deleting a map, or putting another in its place, removes what was observed;
// leaves that were written concurrently survive, each by the rules of its own
// type. Where that, or a plain write, leaves something both at a path and
// below it, the one at the path appears under the key "".
type Map[T any] struct{ handle }

// NewMap returns the map at the path of the given parts.
func NewMap[T any](parts ...string) Map[T] { return MapAt[T](parts) }

// MapAt returns the map at p.
func MapAt[T any](p Path) Map[T] { return Map[T]{newHandle(p, TypeRegister)} }

// Get returns the map. Each leaf is as Fold gives it. Where leaves of several
// types are at one path, the register is shown, or else the first by type;
// types of later releases are left out: Leaves lists them all. Errors are
// ErrMissing, ErrValue if the whole does not decode into a T or a leaf is
// malformed, and those of Fold.
func (m Map[T]) Get(v View) (value T, err error) {
	leaves, err := mapLeaves(v, m.path, leafItems.fold)
	if err != nil {
		return value, m.failMap(err)
	}
	value, err = Decode[T](appendTree(nil, leaves, len(m.path), appendPairsRaw))
	return value, m.failMap(err)
}

// JSON returns the map as JSON text: what Get is in a Raw, as ToJSON writes
// it, without a bound on what a counter in it counts. See FoldJSON.
func (m Map[T]) JSON(v View) ([]byte, error) {
	leaves, err := mapLeaves(v, m.path, leafItems.text)
	if err != nil {
		return nil, m.failMap(err)
	}
	return appendTree(nil, leaves, len(m.path), appendPairsText), nil
}

// failMap says where an error happened, unless it names a leaf.
func (m Map[T]) failMap(err error) error {
	if _, said := err.(*LeafError); said || err == nil {
		return err
	}
	return fmt.Errorf("map at %q: %w", m.path.String(), err)
}

// treeLeaf is a leaf's value and place.
type treeLeaf struct {
	path  Path
	value Raw
}

// mapLeaves returns the leaves of the map at p in key order, one for each
// path: what fold makes of them.
func mapLeaves[R ~[]byte](v View, p Path, fold func(leafItems) (R, error)) ([]treeLeaf, error) {
	s, err := p.Subtree()
	if err != nil {
		return nil, err
	}
	var shown []leafItems
	for leaf, err := range groups(v, s) {
		if err != nil {
			return nil, err
		}
		n := len(shown)
		switch _, known := typeNames[leaf.Type]; {
		case !known:
		case n == 0 || !slices.Equal(shown[n-1].Path, leaf.Path):
			shown = append(shown, leaf)
		case leaf.Type == TypeRegister:
			shown[n-1] = leaf
		}
	}
	if len(shown) == 0 {
		return nil, ErrMissing
	}
	out := make([]treeLeaf, len(shown))
	for i, leaf := range shown {
		value, err := fold(leaf)
		if err != nil {
			return nil, &LeafError{leaf.Leaf, err}
		}
		out[i] = treeLeaf{leaf.Path, Raw(value)}
	}
	return out, nil
}

// appendTree appends the value that leaves make up, which have their first
// depth parts in common; asMap appends a map, of pairs that come in key order.
func appendTree(dst []byte, leaves []treeLeaf, depth int, asMap func([]byte, []mapPair) []byte) []byte {
	if len(leaves) == 1 && len(leaves[0].path) == depth {
		return append(dst, leaves[0].value...)
	}
	var pairs []mapPair
	for len(leaves) > 0 {
		if len(leaves[0].path) == depth {
			pairs = append(pairs, mapPair{AppendString(nil, ""), leaves[0].value})
			leaves = leaves[1:]
			continue
		}
		part := leaves[0].path[depth]
		end := slices.IndexFunc(leaves, func(l treeLeaf) bool { return l.path[depth] != part })
		if end < 0 {
			end = len(leaves)
		}
		pairs = append(pairs, mapPair{AppendString(nil, part), appendTree(nil, leaves[:end], depth+1, asMap)})
		leaves = leaves[end:]
	}
	return asMap(dst, pairs)
}

// appendPairsRaw appends a map of pairs whose values are msgpack. Decode sorts
// them.
func appendPairsRaw(dst []byte, pairs []mapPair) []byte {
	dst = AppendMap(dst, len(pairs))
	for _, p := range pairs {
		dst = append(append(dst, p.key...), p.value...)
	}
	return dst
}

// Put makes the map be value, in the place of all that was observed at its
// path, below it, and as leaves above it. Of a value that is a map, each leaf
// becomes a register below the path; anything else, an array as well, is one
// register at the path. Keys are strings and become parts of paths; the key
// "" names the register at the path itself. Empty maps are nothing.
//
// Errors wrap ErrValue if value is no such thing, and ErrPath if a leaf lies
// too deep. Nothing was written then.
func (m Map[T]) Put(tx Tx, value T) error { return m.failMap(m.replace(tx, value)) }

func (m Map[T]) replace(tx Tx, value T) error {
	raw, err := Encode(value)
	if err != nil {
		return err
	}
	leaves, err := appendLeaves(nil, m.path, raw)
	if err != nil {
		return err
	}
	for i := 1; i < len(m.path); i++ {
		s, err := m.path[:i].Here()
		if err == nil {
			_, err = removeSpan(tx, s)
		}
		if err != nil {
			return err
		}
	}
	s, err := m.path.Subtree()
	if err != nil {
		return err
	}
	if _, err := removeSpan(tx, s); err != nil {
		return err
	}
	for _, leaf := range leaves {
		if err := (Register[Raw]{newHandle(leaf.path, TypeRegister)}).put(tx, "", leaf.value); err != nil {
			return err
		}
	}
	return nil
}

// appendLeaves appends the leaves of a canonical value at p.
func appendLeaves(dst []treeLeaf, p Path, value Raw) (_ []treeLeaf, err error) {
	if shapeOf(value) != shapeMap {
		if _, err := MakeKey(p, TypeRegister, ""); err != nil {
			return nil, err
		}
		return append(dst, treeLeaf{p, value}), checkSize(value)
	}
	r := NewReader(value)
	for range r.Map(len(value)) {
		k, v := Raw(r.Raw()), Raw(r.Raw())
		switch {
		case shapeOf(k) != shapeString:
			return nil, fmt.Errorf("%w: %s for a key, at %q", ErrValue, shapeOf(k), p.String())
		case k.text() == "":
			dst = append(dst, treeLeaf{p, v})
			err = checkSize(v)
		default:
			dst, err = appendLeaves(dst, append(slices.Clip(p), k.text()), v)
		}
		if err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// checkSize refuses what Tx.Put would, before anything is written.
func checkSize(value []byte) error {
	if len(value) > MaxValueBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrValue, len(value), MaxValueBytes)
	}
	return nil
}

// Delete removes all that was observed at the path and below it, and reports
// whether there was anything. Counters are reset, so that an increment that
// was concurrent counts from zero.
func (m Map[T]) Delete(tx Tx) (found bool, err error) {
	s, err := m.path.Subtree()
	if err == nil {
		found, err = removeSpan(tx, s)
	}
	return found, m.failMap(err)
}
