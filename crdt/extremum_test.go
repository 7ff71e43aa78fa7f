package crdt

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestExtremumIsTheGreatestOfConcurrentWrites(t *testing.T) {
	hi, lo := NewMax[int]("hi"), NewMin[int]("lo")
	a, b := duo()
	set := func(r *Replica, wall int64, n int) {
		commit(t, r, wall, func(tx Tx) error { return errors.Join(hi.Set(tx, n), lo.Set(tx, n)) })
	}
	set(a, 9000, 5)
	set(b, 1, -7)
	set(b, 1, 30)
	meet(t, a, b)
	wantEqual(t, "max", read(t, a, hi.Get), 30)
	wantEqual(t, "min", read(t, a, lo.Get), -7)
	commitFound(t, a, hi.Delete)
	set(b, 1, 40)
	meet(t, a, b)
	wantEqual(t, "max set beside its deletion", read(t, a, hi.Get), 40)
}

func TestExtremumWritesOnlyWhatChangesIt(t *testing.T) {
	hi := NewMax[Raw]("hi")
	a, _ := duo()
	set := func(text string) uint64 {
		raw, err := FromJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		commit(t, a, 1, func(tx Tx) error { return hi.Set(tx, raw) })
		return a.Vector()[a.Writer()]
	}
	for i, c := range []struct {
		text string
		want uint64 // transactions so far
	}{
		{"1", 1}, {"1", 1}, {"1.0", 1}, {"0", 1}, {"-1e300", 1},
		{"1.5", 2}, {"9007199254740992.0", 3}, {"9007199254740992", 3}, {"9007199254740993", 4},
		{"9223372036854775808", 5}, {"9223372036854775807", 5}, {"18446744073709551615", 6},
		{"18446744073709551616.0", 7}, {`{"$float":"Infinity"}`, 8}, {"1e308", 8},
	} {
		if got := set(c.text); got != c.want {
			t.Errorf("step %d, %s: %d transactions, want %d", i, c.text, got, c.want)
		}
	}
}

func TestExtremumRefusesWhatIsNoNumber(t *testing.T) {
	a, _ := duo()
	if err := a.Update(1, func(tx Tx) error { return NewMin[float64]("n").Set(tx, math.NaN()) }); !errors.Is(err, ErrValue) {
		t.Errorf("NaN: %v", err)
	}
	if err := a.Update(1, func(tx Tx) error { return NewMax[Raw]("n").Set(tx, Raw{0xc3}) }); !errors.Is(err, ErrValue) {
		t.Errorf("a boolean: %v", err)
	}
	hi := NewMax[int8]("n")
	commit(t, a, 1, func(tx Tx) error { return NewMax[int]("n").Set(tx, 200) })
	wantErr(t, a, hi.Get, ErrValue) // 200 does not fit
	commitRaw(t, a, hi.key, []byte{0xa1, 'x'})
	wantErr(t, a, hi.Get, ErrValue)
	if err := a.Update(1, func(tx Tx) error { return hi.Set(tx, 1) }); !errors.Is(err, ErrValue) {
		t.Errorf("set beside a string: %v", err)
	}
}

func TestNumbersCompareExactly(t *testing.T) {
	edges := []number{
		{}, {u: 1}, {u: 1 << 53}, {u: 1<<53 + 1}, {u: math.MaxInt64}, {u: 1 << 63}, {u: math.MaxUint64},
		integer(-1), integer(math.MinInt64), integer(math.MinInt64 + 1),
		{kind: kindFloat, f: math.Inf(1)}, {kind: kindFloat, f: math.Inf(-1)}, {kind: kindFloat, f: math.Copysign(0, -1)},
		{kind: kindFloat, f: 1 << 53}, {kind: kindFloat, f: 1 << 63}, {kind: kindFloat, f: 1 << 64}, {kind: kindFloat, f: -(1 << 63)},
		{kind: kindFloat, f: math.SmallestNonzeroFloat64}, {kind: kindFloat, f: math.MaxFloat64},
	}
	numbers := rapid.OneOf(rapid.SampledFrom(edges),
		rapid.Map(rapid.Int64(), integer),
		rapid.Map(rapid.Uint64(), func(u uint64) number { return number{u: u} }),
		rapid.Map(rapid.Float64(), func(f float64) number { return number{kind: kindFloat, f: f} }))
	exact := func(x number) *big.Float { // with room for all of them at once
		f := new(big.Float).SetPrec(2200)
		switch x.kind {
		case kindUint:
			return f.SetUint64(x.u)
		case kindNegative:
			return f.SetInt64(x.i)
		}
		return f.SetFloat64(x.f)
	}
	rapid.Check(t, func(t *rapid.T) {
		x, y := numbers.Draw(t, "x"), numbers.Draw(t, "y")
		if got, want := x.compare(y), exact(x).Cmp(exact(y)); got != want {
			t.Fatalf("%v against %v: %d, want %d", x, y, got, want)
		}
	})
}

func TestExtremumKeepsItsBytes(t *testing.T) {
	a, b := duo()
	commit(t, a, 1, func(tx Tx) error { return NewMax[float64]("n").Set(tx, -0.5) })
	commit(t, b, 1, func(tx Tx) error { return NewMax[uint64]("n").Set(tx, math.MaxUint64) })
	commit(t, b, 1, func(tx Tx) error { return NewMin[int]("n").Set(tx, -33) })
	meet(t, a, b)
	checkGolden(t, "extremum.golden", dump(t, a))
}
