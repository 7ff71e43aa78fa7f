package crdt

// MultiValue is a multi-value register: a write replaces the values that it
// has seen, and concurrent writes are all values of it, for the reader to
// merge. A deletion removes the values that it has seen.
type MultiValue[T any] struct{ handle }

// NewMultiValue returns the multi-value register at the path of the given
// parts.
func NewMultiValue[T any](parts ...string) MultiValue[T] { return MultiValueAt[T](parts) }

// MultiValueAt returns the multi-value register at p.
func MultiValueAt[T any](p Path) MultiValue[T] { return MultiValue[T]{newHandle(p, TypeMultiValue)} }

// Get returns all values, ordered by (time, dot): at least one. Errors are
// ErrMissing, ErrWrongType, and ErrValue if one does not decode into a T.
func (m MultiValue[T]) Get(v View) ([]T, error) {
	siblings, err := m.Siblings(v)
	var values []T
	for _, s := range siblings {
		values = append(values, s.Value)
	}
	return values, err
}

// Siblings is Get, with where each value comes from.
func (m MultiValue[T]) Siblings(v View) ([]Sibling[T], error) { return siblingsAt[T](m.handle, v) }

// Set writes a value in the place of those that the transaction can see. It
// reads nothing.
func (m MultiValue[T]) Set(tx Tx, value T) error {
	b, err := encode(lend(tx), value)
	if err != nil {
		return m.fail(err)
	}
	return m.put(tx, "", b)
}

// Delete removes all values that the transaction can see, and reports whether
// there were any.
func (m MultiValue[T]) Delete(tx Tx) (found bool, err error) { return m.remove(tx, "") }

func foldSiblings(rec Record) (value Raw, err error) {
	value = AppendArray(nil, len(rec))
	for _, e := range byTime(rec) {
		if value, err = appendCanonical(value, e.Value); err != nil {
			return nil, err
		}
	}
	return value, nil
}
