package crdt

import "slices"

// Register is a last-writer-wins register: one value of type T. A write
// replaces every write that it has seen; of concurrent ones the latest by
// (time, dot) is shown, and the others can be seen by Conflicts until a later
// write replaces them. Where the one that is shown expires, the next is. A
// deletion removes what it has seen; a concurrent write survives it.
type Register[T any] struct{ handle }

// NewRegister returns the register at the path of the given parts.
func NewRegister[T any](parts ...string) Register[T] { return RegisterAt[T](parts) }

// RegisterAt returns the register at p.
func RegisterAt[T any](p Path) Register[T] { return Register[T]{newHandle(p, TypeRegister)} }

// Get returns the value. Errors are ErrMissing, ErrWrongType, and ErrValue if
// what is there does not decode into a T.
func (r Register[T]) Get(v View) (value T, err error) {
	rec, err := r.get(v, "")
	if err != nil {
		return value, err
	}
	if len(rec) == 0 {
		return value, r.missing(v)
	}
	value, err = Decode[T](rec.Winner().Value)
	return value, r.fail(err)
}

// Set writes the value. It reads nothing.
func (r Register[T]) Set(tx Tx, value T) error {
	b, err := encode(lend(tx), value)
	if err != nil {
		return r.fail(err)
	}
	return r.put(tx, "", b)
}

// Delete removes the value, and reports whether there was one.
func (r Register[T]) Delete(tx Tx) (found bool, err error) { return r.remove(tx, "") }

// Conflicts returns all values that were written concurrently, the winner
// first; one, where there is no conflict. Errors are those of Get.
func (r Register[T]) Conflicts(v View) ([]Sibling[T], error) {
	s, err := siblingsAt[T](r.handle, v)
	slices.Reverse(s)
	return s, err
}

// Sibling is one of several concurrent values, and where it comes from.
type Sibling[T any] struct {
	Value T
	// Time is when it was written, by the clock of its node.
	Time Timestamp
	// Writer is the run that wrote it, a run of Node.
	Writer WriterID
	// Node is zero if the view does not know the writer.
	Node NodeID
	// Expires is when it leaves, in milliseconds since 1970; 0 for never.
	Expires int64
}

// siblingsAt returns the values of h's single record, ordered by (time, dot).
func siblingsAt[T any](h handle, v View) ([]Sibling[T], error) {
	rec, err := h.get(v, "")
	if err != nil {
		return nil, err
	}
	if len(rec) == 0 {
		return nil, h.missing(v)
	}
	var out []Sibling[T]
	for _, e := range byTime(rec) {
		value, err := Decode[T](e.Value)
		if err != nil {
			return nil, h.fail(err)
		}
		node, _ := v.NodeOf(e.Writer)
		out = append(out, Sibling[T]{value, e.Time, e.Writer, node, e.Expires})
	}
	return out, nil
}

// byTime returns rec ordered by (time, dot), the winner last.
func byTime(rec Record) Record {
	return slices.SortedFunc(slices.Values(rec), func(a, b Event) int {
		if b.Later(&a) {
			return -1
		}
		return 1
	})
}
