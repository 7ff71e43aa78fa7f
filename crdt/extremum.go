package crdt

import "fmt"

// Number is what a max or a min holds: any Go number, or Raw for whatever
// number other programs put there.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 |
		~float32 | ~float64 | Raw
}

// Extremum is a max or a min register: the greatest, or the least, of all
// numbers that it was set to since it was last deleted. Integers and floats
// compare by what they are, exactly. A deletion removes what it has seen; a
// concurrent Set survives it, if its number beat what it saw itself: one that
// did not has written nothing, and is not remembered where the number that it
// saw expires.
type Extremum[T Number] struct{ handle }

// NewMax returns the max register at the path of the given parts.
func NewMax[T Number](parts ...string) Extremum[T] { return MaxAt[T](parts) }

// NewMin returns the min register at the path of the given parts.
func NewMin[T Number](parts ...string) Extremum[T] { return MinAt[T](parts) }

// MaxAt returns the max register at p.
func MaxAt[T Number](p Path) Extremum[T] { return Extremum[T]{newHandle(p, TypeMax)} }

// MinAt returns the min register at p.
func MinAt[T Number](p Path) Extremum[T] { return Extremum[T]{newHandle(p, TypeMin)} }

// Get returns the extreme number. Errors are ErrMissing, ErrWrongType, and
// ErrValue if it does not fit a T, or is no number.
func (x Extremum[T]) Get(v View) (value T, err error) {
	rec, err := x.get(v, "")
	if err != nil {
		return value, err
	}
	if len(rec) == 0 {
		return value, x.missing(v)
	}
	e, _, err := foldExtremum(x.kind, rec)
	if err == nil {
		value, err = Decode[T](e.Value)
	}
	return value, x.fail(err)
}

// Set takes a number into account. It writes only if the number is more
// extreme than what is there, or equal to it and expires later. NaN is refused
// with ErrValue.
func (x Extremum[T]) Set(tx Tx, value T) error {
	b, err := Encode(value)
	if err != nil {
		return x.fail(err)
	}
	n, err := readExtremum(b)
	if err != nil {
		return x.fail(err)
	}
	rec, err := x.get(tx, "")
	if err != nil {
		return err
	}
	if len(rec) > 0 {
		_, seen, err := foldExtremum(x.kind, rec)
		if err != nil {
			return x.fail(err)
		}
		longer := n.compare(seen) == 0 && outlasts(expiryOf(tx), numberExpires(rec, seen))
		if !beats(x.kind, n, seen) && !longer {
			return nil
		}
	}
	return x.put(tx, "", b)
}

// Delete removes the number, and reports whether there was one.
func (x Extremum[T]) Delete(tx Tx) (found bool, err error) { return x.remove(tx, "") }

// foldExtremum returns the event with the extreme number in rec, which has
// one at least; of equal ones the first by dot.
func foldExtremum(t Type, rec Record) (best *Event, seen number, err error) {
	for i := range rec {
		n, err := readExtremum(rec[i].Value)
		if err != nil {
			return nil, number{}, err
		}
		if best == nil || beats(t, n, seen) {
			best, seen = &rec[i], n
		}
	}
	return best, seen, nil
}

// numberExpires returns when the last of the events with a number expires.
func numberExpires(rec Record, n number) int64 {
	return rec.expires(func(e *Event) bool {
		m, err := readExtremum(e.Value)
		return err == nil && m.compare(n) == 0
	})
}

func beats(t Type, a, b number) bool {
	if t == TypeMax {
		return a.compare(b) > 0
	}
	return a.compare(b) < 0
}

func readExtremum(b []byte) (number, error) {
	n, ok := parseNumber(b)
	if !ok {
		return number{}, fmt.Errorf("%w: %s where a number is needed", ErrValue, shapeOf(b))
	}
	if n.isNaN() {
		return number{}, fmt.Errorf("%w: NaN has no place in an order", ErrValue)
	}
	return n, nil
}
