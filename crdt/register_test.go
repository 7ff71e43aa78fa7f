package crdt

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type model struct {
	Name    string            `msgpack:"name"`
	Version uint16            `msgpack:"version"`
	Labels  map[string]string `msgpack:"labels,omitempty"`
	Trained time.Time         `msgpack:"trained"`
}

func TestRegisterShowsTheLatestOfConcurrentWrites(t *testing.T) {
	reg := NewRegister[string]("model")
	for _, c := range []struct {
		name         string
		wallA, wallB int64
		want         string
	}{
		{"the later time", 2000, 1000, "a"},
		{"the later time, the other way", 1000, 2000, "b"},
		{"at equal times the greater dot", 1000, 1000, "b"},
	} {
		a, b := duo()
		commit(t, a, c.wallA, func(tx Tx) error { return reg.Set(tx, "a") })
		commit(t, b, c.wallB, func(tx Tx) error { return reg.Set(tx, "b") })
		meet(t, a, b)
		wantEqual(t, c.name, read(t, a, reg.Get), c.want)
	}
}

func TestRegisterWriteThatSawAnotherBeatsItsClock(t *testing.T) {
	reg := NewRegister[string]("model")
	a, b := duo()
	const tenYears = 10 * 365 * 24 * 3600 * 1000
	commit(t, a, tenYears, func(tx Tx) error { return reg.Set(tx, "from the future") })
	fetch(t, b, a)
	commit(t, b, 0, func(tx Tx) error { return reg.Set(tx, "after it") })
	meet(t, a, b)
	wantEqual(t, "value", read(t, a, reg.Get), "after it")
	wantEqual(t, "conflicts", len(read(t, a, reg.Conflicts)), 1)
}

func TestRegisterUpdateBesideDeletionSurvives(t *testing.T) {
	reg := NewRegister[int]("k")
	a, b := duo()
	commit(t, a, 1, func(tx Tx) error { return reg.Set(tx, 1) })
	meet(t, a, b)
	commitFound(t, a, reg.Delete)
	commit(t, b, 0, func(tx Tx) error { return reg.Set(tx, 2) }) // by an earlier clock
	meet(t, a, b)
	wantEqual(t, "value", read(t, a, reg.Get), 2)
}

func TestRegisterDeletionRevivesNoLoser(t *testing.T) {
	reg := NewRegister[string]("k")
	a, b := duo()
	commit(t, a, 1, func(tx Tx) error { return reg.Set(tx, "loser") })
	commit(t, b, 2, func(tx Tx) error { return reg.Set(tx, "winner") })
	fetch(t, a, b)
	commitFound(t, a, reg.Delete)
	meet(t, a, b)
	wantErr(t, b, reg.Get, ErrMissing)
}

func TestRegisterShowsItsConflictsWinnerFirst(t *testing.T) {
	reg := NewRegister[string]("k")
	a, b := duo()
	c := NewReplica(NodeID{0xc}, WriterID{0xc})
	commit(t, a, 1000, func(tx Tx) error { return reg.Set(tx, "a") })
	commit(t, b, 3000, func(tx Tx) error { return reg.Set(tx, "b") })
	commit(t, c, 2000, func(tx Tx) error { return reg.Set(tx, "c") })
	meet(t, a, b, c)
	wantEqual(t, "conflicts", read(t, a, reg.Conflicts), []Sibling[string]{
		{"b", TimestampOf(3000), WriterID{0xb}, NodeID{0xb}, 0},
		{"c", TimestampOf(2000), WriterID{0xc}, NodeID{0xc}, 0},
		{"a", TimestampOf(1000), WriterID{0xa}, NodeID{0xa}, 0},
	})
	commit(t, a, 0, func(tx Tx) error { return reg.Set(tx, "merged") })
	wantEqual(t, "conflicts after a write", len(read(t, a, reg.Conflicts)), 1)
}

func TestRegisterHoldsAnyGoType(t *testing.T) {
	trained := time.Date(2026, 11, 23, 9, 0, 0, 123456789, time.UTC)
	m := model{"resnet", 300, map[string]string{"b": "2", "a": "1"}, trained}
	reg := NewRegister[model]("model", "active")
	r, _ := duo()
	commit(t, r, 1, func(tx Tx) error { return reg.Set(tx, m) })
	got := read(t, r, reg.Get)
	if !got.Trained.Equal(trained) {
		t.Errorf("time %v, want %v", got.Trained, trained)
	}
	got.Trained = trained
	wantEqual(t, "value", got, m)
	raw := read(t, r, RegisterAt[Raw](reg.Path()).Get)
	want := `{"labels":{"a":"1","b":"2"},"name":"resnet","trained":{"$time":[1795424400,123456789]},"version":300}`
	wantEqual(t, "raw", raw.String(), want)
	wantErr(t, r, RegisterAt[int](reg.Path()).Get, ErrValue)
	wantErr(t, r, RegisterAt[int](reg.Path()).Conflicts, ErrValue)
}

func TestRegisterSetTwiceInATransactionKeepsTheLast(t *testing.T) {
	bothTxs(t, func(t *testing.T, in func(func(Tx) error) func(Tx) error) {
		reg := NewRegister[int]("k")
		a, _ := duo()
		commit(t, a, 1, in(func(tx Tx) error {
			if err := reg.Set(tx, 1); err != nil {
				return err
			}
			if got, err := reg.Get(tx); got != 1 || err != nil {
				t.Errorf("reads %d, %v within the transaction", got, err)
			}
			return reg.Set(tx, 2)
		}))
		wantEqual(t, "value", read(t, a, reg.Get), 2)
	})
}

func TestRegisterRefusesWhatItCannotHold(t *testing.T) {
	a, _ := duo()
	refuse := func(what string, fn func(Tx) error) {
		t.Helper()
		err := a.Update(1, fn)
		if err == nil || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refuse("a function", func(tx Tx) error { return NewRegister[func()]("k").Set(tx, nil) })
	refuse("a channel", func(tx Tx) error { return NewRegister[chan int]("k").Set(tx, nil) })
	refuse("too large", func(tx Tx) error { return NewRegister[[]byte]("k").Set(tx, make([]byte, MaxValueBytes)) })
	refuse("no value", func(tx Tx) error { return NewRegister[Raw]("k").Set(tx, Raw{}) })
	refuse("two values", func(tx Tx) error { return NewRegister[Raw]("k").Set(tx, Raw{1, 2}) })
	wantEqual(t, "transactions", len(a.Vector()), 0)
}

func TestRegisterKeepsFloatsBitForBit(t *testing.T) {
	reg := NewRegister[float64]("f")
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.Uint64().Draw(t, "bits")
		a, _ := duo()
		commit(t, a, 1, func(tx Tx) error { return reg.Set(tx, math.Float64frombits(bits)) })
		wantEqual(t, "bits", math.Float64bits(read(t, a, reg.Get)), bits)
	})
}

func TestRegisterKeepsItsBytes(t *testing.T) {
	a, b := duo()
	commit(t, a, 1, func(tx Tx) error {
		if err := NewRegister[model]("model").Set(tx, model{Name: "resnet", Version: 2, Trained: time.Unix(1, 2)}); err != nil {
			return err
		}
		return NewRegister[string]("gone").Set(tx, "x")
	})
	commitFound(t, a, NewRegister[string]("gone").Delete)
	commit(t, b, 1, func(tx Tx) error { return NewRegister[int]("model").Set(tx, math.MinInt64) })
	meet(t, a, b)
	checkGolden(t, "register.golden", dump(t, a))
}
