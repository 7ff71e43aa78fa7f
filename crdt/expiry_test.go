package crdt

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// readAt is read at a time.
func readAt[T any](t *testing.T, r *Replica, at int64, get func(View) (T, error)) T {
	t.Helper()
	value, err := get(r.ViewAt(at))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func goneAt[T any](t *testing.T, r *Replica, at int64, get func(View) (T, error)) {
	t.Helper()
	if value, err := get(r.ViewAt(at)); !errors.Is(err, ErrMissing) {
		t.Fatalf("at %d it reads %v, error %v", at, value, err)
	}
}

func TestAValueExpiresAtItsTime(t *testing.T) {
	reg := NewRegister[string]("k")
	a, b := duo()
	commit(t, a, 1000, func(tx Tx) error { return reg.Set(tx, "before") })
	commit(t, a, 1000, func(tx Tx) error { return reg.Set(Until(tx, 1500), "short") })
	meet(t, a, b)
	for _, r := range []*Replica{a, b} {
		wantEqual(t, "just before", readAt(t, r, 1499, reg.Get), "short")
		goneAt(t, r, 1500, reg.Get) // what it superseded does not come back
		wantEqual(t, "expiry", readAt(t, r, 0, func(v View) (int64, error) { return Expiry(v, reg.Path(), TypeRegister) }), int64(1500))
	}
	commit(t, b, 2000, func(tx Tx) error { return reg.Set(tx, "over it") })
	meet(t, a, b)
	wantEqual(t, "a later write", readAt(t, a, 1<<40, reg.Get), "over it")
}

func TestTheLoserShowsWhereTheWinnerExpires(t *testing.T) {
	reg := NewRegister[string]("k")
	a, b := duo()
	commit(t, a, 3000, func(tx Tx) error { return reg.Set(Until(tx, 5000), "wins") })
	commit(t, b, 2000, func(tx Tx) error { return reg.Set(tx, "loses") })
	meet(t, a, b)
	wantEqual(t, "at first", readAt(t, a, 4999, reg.Get), "wins")
	wantEqual(t, "then", readAt(t, a, 5000, reg.Get), "loses")
	wantEqual(t, "expiries", readAt(t, b, 0, reg.Conflicts)[0].Expires, int64(5000))
}

func TestADeletionTakesWhatItSeesOnly(t *testing.T) {
	reg := NewRegister[string]("k")
	a, _ := duo()
	commit(t, a, 1000, func(tx Tx) error { return reg.Set(Until(tx, 1500), "short") })
	commit(t, a, 2000, func(tx Tx) error {
		found, err := reg.Delete(tx)
		if found {
			t.Error("something expired was found")
		}
		return err
	})
}

func TestEveryLensExpires(t *testing.T) {
	flag := NewFlag(EnableWins, "flag")
	most := NewMax[int]("max")
	set, barred := NewSet[string](AddWins, "set"), NewSet[string](RemoveWins, "barred")
	list := NewLog[string]("log")
	tree := NewMap[map[string]int]("map")
	a, _ := duo()
	commit(t, a, 1000, func(tx Tx) error {
		soon := Until(tx, 2000)
		return errors.Join(
			flag.Enable(soon), most.Set(soon, 7),
			set.Add(soon, "a"), set.Add(tx, "b"), barred.Add(tx, "x"),
			list.Append(soon, "first"), list.Append(tx, "second"),
			tree.Put(soon, map[string]int{"leaf": 1}))
	})
	commit(t, a, 1001, func(tx Tx) error { return second(barred.Remove(Until(tx, 2000), "x")) })
	wantEqual(t, "set before", readAt(t, a, 1999, set.List), []string{"a", "b"})
	wantEqual(t, "barred before", readAt(t, a, 1999, barred.List), []string(nil))
	wantEqual(t, "log before", readAt(t, a, 1999, list.List), []string{"first", "second"})
	wantEqual(t, "max before", readAt(t, a, 1999, most.Get), 7)
	wantEqual(t, "map before", readAt(t, a, 1999, tree.Get), map[string]int{"leaf": 1})
	goneAt(t, a, 2000, flag.Enabled)
	goneAt(t, a, 2000, most.Get)
	goneAt(t, a, 2000, tree.Get)
	wantEqual(t, "set after", readAt(t, a, 2000, set.List), []string{"b"})
	wantEqual(t, "barred after", readAt(t, a, 2000, barred.List), []string(nil))
	wantEqual(t, "log after", readAt(t, a, 2000, list.List), []string{"second"})
	for it, err := range set.Items(a.View()) {
		if want := map[string]int64{"a": 2000}[it.Value]; err != nil || it.Expires != want {
			t.Errorf("element %q expires at %d, error %v", it.Value, it.Expires, err)
		}
	}
	wantEqual(t, "the set changes", readAt(t, a, 0, func(v View) (int64, error) { return Expiry(v, set.Path(), TypeSetAddWins) }), int64(2000))
}

func TestAnEqualMaxThatLastsLongerIsWritten(t *testing.T) {
	most := NewMax[int]("max")
	a, _ := duo()
	commit(t, a, 1000, func(tx Tx) error { return most.Set(Until(tx, 2000), 7) })
	commit(t, a, 1000, func(tx Tx) error { return most.Set(Until(tx, 1500), 7) })
	wantEqual(t, "as long", readAt(t, a, 1999, most.Get), 7)
	commit(t, a, 1000, func(tx Tx) error { return most.Set(tx, 7) })
	wantEqual(t, "for ever", readAt(t, a, MaxExpires, most.Get), 7)
}

func TestACounterDoesNotExpire(t *testing.T) {
	c := NewCounter("c")
	a, _ := duo()
	err := a.Update(1000, func(tx Tx) error { return c.Add(Until(tx, 2000), 1) })
	if !errors.Is(err, ErrExpiry) {
		t.Fatalf("Add answers %v", err)
	}
	err = a.Update(1000, func(tx Tx) error { return tx.PutUntil(c.key+"s", []byte("x"), 2000) })
	if !errors.Is(err, ErrExpiry) {
		t.Fatalf("PutUntil answers %v", err)
	}
	commit(t, a, 1000, func(tx Tx) error { return c.Add(tx, 3) })
	commit(t, a, 1000, func(tx Tx) error { return second(NewMap[any]("c").Delete(Until(tx, 2000))) })
	commit(t, a, 1000, func(tx Tx) error { return c.Add(tx, 1) })
	wantEqual(t, "the floor stays", readAt(t, a, 1<<40, c.Get), int64(1))
}

func TestImpossibleExpiriesAreRefused(t *testing.T) {
	reg := NewRegister[int]("k")
	a, _ := duo()
	for _, at := range []int64{-1, 0, MaxExpires + 1} {
		if err := a.Update(1, func(tx Tx) error { return reg.Set(Until(tx, at), 1) }); !errors.Is(err, ErrExpiry) {
			t.Errorf("an expiry at %d answers %v", at, err)
		}
	}
	commit(t, a, 1, func(tx Tx) error { return reg.Set(Until(tx, MaxExpires), 1) })
}

func TestTheDigestLeavesOutWhatExpires(t *testing.T) {
	a, _ := duo()
	empty := a.Digest()
	commit(t, a, 1, func(tx Tx) error { return NewRegister[int]("k").Set(Until(tx, MaxExpires), 1) })
	if a.Digest() != empty {
		t.Fatal("the digest tells of a value that expires")
	}
}

// TestWhatIsNoExpiryIsCarried: whatever stands in the place of an expiry is
// written again byte for byte, as the first release carries it.
func TestWhatIsNoExpiryIsCarried(t *testing.T) {
	tab := table{{1}}
	fields := rapid.SampledFrom([][]byte{
		{0xc0}, {0x00}, {0x01}, {0xcd, 0, 5}, {0xff}, AppendUint(nil, MaxExpires), AppendUint(nil, MaxExpires+1),
		{0xa1, 'x'}, {0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0}, {0x91, 0xc0},
	})
	rapid.Check(t, func(t *rapid.T) {
		ext := rapid.SliceOfN(fields, 0, 3).Draw(t, "fields")
		b := append(AppendArray(nil, 4+len(ext)), 0, 1, 2)
		value := rapid.SampledFrom([][]byte{{0xc0}, {0xc4, 1, 'v'}}).Draw(t, "value")
		b = append(append(b, value...), bytes.Join(ext, nil)...)
		r := NewReader(b)
		e := ReadEvent(r, tab.writer)
		if r.Done() != nil || !bytes.Equal(AppendEvent(nil, &e, 0), b) {
			t.Fatalf("%x came back as %x, error %v", b, AppendEvent(nil, &e, 0), r.Err())
		}
	})
}
