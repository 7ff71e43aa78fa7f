package bench

import (
	"errors"
	"runtime"
	"time"
)

// Turns measures two ways to do the same in short turns, one after the other,
// each turn begun by the other side than the last: a machine that is slow for
// a while is slow for both.
type Turns struct {
	Each  int // operations a turn
	Turns int // of each side, in a repetition
	// Ours and Raw do n operations.
	Ours, Raw func(n int) error
	// Between is called before each pair of turns, not timed. nil: nothing.
	Between func() error
}

// Rate is a Repetition of operations a second.
func (t Turns) Rate() (Pair, error) {
	spent, err := t.spend()
	n := float64(t.Each * t.Turns)
	return Pair{Ours: n / spent[0].Seconds(), Raw: n / spent[1].Seconds()}, err
}

// Nanos is a Repetition of nanoseconds for an operation.
func (t Turns) Nanos() (Pair, error) {
	spent, err := t.spend()
	n := float64(t.Each * t.Turns)
	return Pair{Ours: float64(spent[0].Nanoseconds()) / n, Raw: float64(spent[1].Nanoseconds()) / n}, err
}

// spend runs the turns, and returns what ours and raw took.
func (t Turns) spend() (spent [2]time.Duration, err error) {
	sides := [2]func(int) error{t.Ours, t.Raw}
	runtime.GC() // what was prepared is nobody's cost
	for turn := range t.Turns {
		if t.Between != nil {
			if err := t.Between(); err != nil {
				return spent, err
			}
		}
		for i := range sides {
			side := (turn + i) % 2
			start := time.Now()
			err = errors.Join(err, sides[side](t.Each))
			spent[side] += time.Since(start)
		}
		if err != nil {
			return spent, err
		}
	}
	return spent, nil
}
