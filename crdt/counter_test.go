package crdt

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var seen = NewCounter("seen")

func add(t rapid.TB, r *Replica, delta int64) {
	t.Helper()
	commit(t, r, 1, func(tx Tx) error { return seen.Add(tx, delta) })
}

func wantCount(t rapid.TB, r *Replica, want int64) {
	t.Helper()
	if got, err := seen.Get(r.View()); got != want || err != nil {
		t.Errorf("the counter reads %d, %v, want %d", got, err, want)
	}
}

// restart begins a new run of r.
func restart(r *Replica, writer byte) *Replica {
	r.Restart(WriterID{writer})
	return r
}

// records counts the records of the counter, by what their sub begins with.
func records(t rapid.TB, r *Replica, prefix string) int {
	t.Helper()
	items, err := seen.collect(r.View(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return len(items)
}

func TestCounterSumsConcurrentAdds(t *testing.T) {
	a, b := duo()
	add(t, a, 5)
	add(t, b, -7)
	add(t, a, 1)
	meet(t, a, b)
	wantCount(t, a, -1)
	add(t, b, 2)
	add(t, b, 0)
	meet(t, a, b)
	wantCount(t, a, 1)
}

func TestCounterAddOfNothingMakesACounter(t *testing.T) {
	a, _ := duo()
	add(t, a, 0)
	wantCount(t, a, 0)
	add(t, a, 0)
	wantEqual(t, "transactions", a.Vector()[a.Writer()], uint64(1))
}

func TestCounterResetTakesAwayWhatItSaw(t *testing.T) {
	a, b := duo()
	add(t, a, 5)
	meet(t, a, b)
	wantEqual(t, "found", commitFound(t, b, seen.Reset), true)
	add(t, a, 3) // concurrent with the reset
	add(t, a, -1)
	meet(t, a, b)
	wantCount(t, a, 2)
	commitFound(t, a, seen.Reset)
	wantCount(t, a, 0)
	add(t, a, 4)
	meet(t, a, b)
	wantCount(t, b, 4)
}

func TestCounterConcurrentResetsAreOne(t *testing.T) {
	a, b := duo()
	add(t, a, 5)
	add(t, b, 2)
	meet(t, a, b)
	commitFound(t, a, seen.Reset)
	add(t, b, 1)
	commitFound(t, b, seen.Reset) // it saw one more than the other
	meet(t, a, b)
	wantCount(t, a, 0)
	add(t, a, 1)
	wantCount(t, a, 1)
	commitFound(t, a, seen.Reset) // joins both floors into one
	meet(t, a, b)
	wantCount(t, b, 0)
}

func TestCounterResetThatChangesNothingWritesNothing(t *testing.T) {
	a, _ := duo()
	wantEqual(t, "found", commitFound(t, a, seen.Reset), false)
	add(t, a, 1)
	commitFound(t, a, seen.Reset)
	wantEqual(t, "found", commitFound(t, a, seen.Reset), true)
	wantEqual(t, "transactions", a.Vector()[a.Writer()], uint64(2))
}

func TestCounterDeletedBesideAnAddNeverCountsTheOldAmount(t *testing.T) {
	a, b := duo()
	add(t, a, 5)
	meet(t, a, b)
	wantEqual(t, "found", commitFound(t, b, seen.Delete), true)
	wantErr(t, b, seen.Get, ErrMissing)
	add(t, a, 1) // has not seen the deletion: its slot says 6
	meet(t, a, b)
	wantCount(t, a, 1)
	wantEqual(t, "floors", records(t, a, floorSub), 1)
	commitFound(t, a, seen.Delete)
	meet(t, a, b)
	wantErr(t, a, seen.Get, ErrMissing)
	add(t, a, 7) // a new incarnation
	meet(t, a, b)
	wantCount(t, b, 7)
}

func TestCounterFloorKeepsWhatIsNotSeenAnyMore(t *testing.T) {
	for name, takeAway := range map[string]func(Tx) (bool, error){"reset": seen.Reset, "delete": seen.Delete} {
		a, b := duo()
		add(t, a, 5)
		meet(t, a, b)
		commitFound(t, b, seen.Delete) // b has no slot of a left, the floor alone
		add(t, b, 2)
		commitFound(t, b, takeAway) // a floor in the place of the first
		add(t, a, 1)
		meet(t, a, b)
		if got := read(t, b, seen.Get); got != 1 {
			t.Errorf("%s: %d, want 1", name, got)
		}
	}
}

func TestCounterWithinOneTransaction(t *testing.T) {
	bothTxs(t, func(t *testing.T, in func(func(Tx) error) func(Tx) error) {
		drop := func(_ bool, err error) error { return err }
		plus := func(n int64) func(Tx) error { return func(tx Tx) error { return seen.Add(tx, n) } }
		reset := func(tx Tx) error { return drop(seen.Reset(tx)) }
		remove := func(tx Tx) error { return drop(seen.Delete(tx)) }
		for _, c := range []struct {
			name string
			ops  []func(Tx) error
			want int64
		}{
			{"add, add", []func(Tx) error{plus(1), plus(2)}, 3},
			{"add, reset", []func(Tx) error{plus(1), reset}, 0},
			{"add, reset, add", []func(Tx) error{plus(1), reset, plus(2)}, 2},
			{"add, delete, add", []func(Tx) error{plus(1), remove, plus(2)}, 2},
			{"add, reset, delete, add", []func(Tx) error{plus(1), reset, remove, plus(2)}, 2},
			{"add, delete, add, reset, add", []func(Tx) error{plus(1), remove, plus(2), reset, plus(4)}, 4},
			{"add, delete, add, delete, add", []func(Tx) error{plus(1), remove, plus(2), remove, plus(4)}, 4},
		} {
			for _, before := range []int64{0, 10} { // amounts that were there already
				a, b := duo()
				want := c.want
				if before > 0 {
					add(t, a, before)
					add(t, b, before)
					meet(t, a, b)
					if c.name == "add, add" {
						want += 2 * before
					}
				}
				commit(t, a, 1, in(func(tx Tx) error {
					for _, op := range c.ops {
						if err := op(tx); err != nil {
							return err
						}
					}
					if got, err := seen.Get(tx); got != want || err != nil {
						t.Errorf("%s: reads %d, %v in the transaction, want %d", c.name, got, err, want)
					}
					return nil
				}))
				meet(t, a, b)
				wantCount(t, b, want)
				add(t, a, 100) // the incarnation goes on under one name
				meet(t, a, b)
				wantCount(t, b, want+100)
				commitFound(t, b, seen.Reset)
				wantCount(t, b, 0)
			}
		}
	})
}

func TestCounterAddRefusesItsOwnOverflow(t *testing.T) {
	a, b := duo()
	for _, delta := range []int64{math.MaxInt64, math.MaxInt64, 1, math.MinInt64, math.MinInt64 + 1} {
		add(t, a, delta) // up to 1<<64 - 1 in either direction
	}
	wantCount(t, a, 0)
	before := a.Bytes()
	for _, delta := range []int64{1, -1, math.MaxInt64, math.MinInt64} {
		err := a.Update(1, func(tx Tx) error { return seen.Add(tx, delta) })
		if !errors.Is(err, ErrOverflow) {
			t.Errorf("add %d: %v", delta, err)
		}
		if sign := ` to the -`; (delta < 0) != strings.Contains(err.Error(), sign) {
			t.Errorf("add %d: %v", delta, err)
		}
	}
	wantEqual(t, "state", a.Bytes(), before)
	add(t, b, math.MaxInt64) // others have room of their own
	meet(t, a, b)
	wantCount(t, a, math.MaxInt64)
	add(t, restart(a, 0xa1), 1) // and so has the next run
	wantErr(t, a, seen.Get, ErrOverflow)
	add(t, a, -1)
	wantCount(t, a, math.MaxInt64)
}

func TestCounterSumsBeyond64Bits(t *testing.T) {
	a, b := duo()
	fold := func(v View) (Raw, error) { return Fold(v, seen.Path(), TypeCounter) }
	text := func(v View) ([]byte, error) { return FoldJSON(v, seen.Path(), TypeCounter) }
	for _, r := range []*Replica{a, b} {
		add(t, r, math.MaxInt64)
		add(t, r, math.MaxInt64)
	}
	wantErr(t, a, seen.Get, ErrOverflow)
	wantEqual(t, "fold", read(t, a, fold).String(), "18446744073709551614")
	meet(t, a, b)
	wantErr(t, a, fold, ErrOverflow)
	wantEqual(t, "exact", read(t, a, seen.Big).String(), "36893488147419103228")
	wantEqual(t, "JSON", string(read(t, a, text)), "36893488147419103228")
	commitFound(t, a, seen.Reset)
	for _, r := range []*Replica{a, b} {
		add(t, r, math.MinInt64)
	}
	wantEqual(t, "least", read(t, a, seen.Get), int64(math.MinInt64))
	wantEqual(t, "fold", read(t, a, fold).String(), "-9223372036854775808")
	add(t, a, -1)
	wantErr(t, a, fold, ErrOverflow)
	add(t, a, 1)
	meet(t, a, b)
	wantErr(t, a, seen.Get, ErrOverflow)
	wantErr(t, a, fold, ErrOverflow)
	wantEqual(t, "exact", read(t, a, seen.Big), new(big.Int).Lsh(big.NewInt(-1), 64))
}

func TestCounterKeepsItsBytes(t *testing.T) {
	a, b := duo()
	add(t, a, 300)
	add(t, a, -1)
	meet(t, a, b)
	commitFound(t, b, seen.Reset)
	add(t, a, 1)
	add(t, restart(a, 0xa1), 5)
	commit(t, b, 1, func(tx Tx) error {
		return errors.Join(seen.Add(tx, 1), seen.Add(tx, 1))
	})
	meet(t, a, b)
	commit(t, a, 1, seqUnknown(func(tx Tx) error {
		other := NewCounter("other")
		_, err := other.Reset(tx)
		err = errors.Join(err, other.Add(tx, 7))
		_, reset := other.Reset(tx)
		return errors.Join(err, reset)
	}))
	checkGolden(t, "counter.golden", dump(t, a))
}
