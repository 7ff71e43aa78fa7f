package crdt

import (
	"errors"
	"strings"
	"testing"
)

func TestSetPolicyDecidesAddBesideRemove(t *testing.T) {
	for _, c := range []struct {
		policy SetPolicy
		before string // what both saw
		want   bool
	}{
		{AddWins, "absent", true},
		{AddWins, "in", true},
		{AddWins, "removed", true},
		{RemoveWins, "absent", false},
		{RemoveWins, "in", false},
		{RemoveWins, "removed", false},
	} {
		set := NewSet[string](c.policy, "labels")
		a, b := duo()
		if c.before != "absent" {
			commit(t, a, 1, func(tx Tx) error { return set.Add(tx, "x") })
		}
		if c.before == "removed" {
			removeElement(t, a, set, "x")
		}
		meet(t, a, b)
		commit(t, a, 1, func(tx Tx) error { return set.Add(tx, "x") })
		removeElement(t, b, set, "x")
		meet(t, a, b)
		if got := contains(t, a, set, "x"); got != c.want {
			t.Errorf("%s, %s before, added beside a removal: in the set is %v", c.policy, c.before, got)
		}
	}
}

func contains[T any](t *testing.T, r *Replica, set Set[T], element T) bool {
	t.Helper()
	return read(t, r, func(v View) (bool, error) { return set.Contains(v, element) })
}

func removeElement[T any](t *testing.T, r *Replica, set Set[T], element T) (found bool) {
	t.Helper()
	return commitFound(t, r, func(tx Tx) (bool, error) { return set.Remove(tx, element) })
}

func TestSetRemovalThatSawTheAddRemoves(t *testing.T) {
	for _, policy := range []SetPolicy{AddWins, RemoveWins} {
		set := NewSet[int](policy, "s")
		a, b := duo()
		commit(t, a, 1, func(tx Tx) error { return set.Add(tx, 1) })
		meet(t, a, b)
		wantEqual(t, "found", removeElement(t, b, set, 1), true)
		wantEqual(t, "found again", removeElement(t, b, set, 1), false)
		meet(t, a, b)
		wantEqual(t, "in the set", contains(t, a, set, 1), false)
		commit(t, a, 1, func(tx Tx) error { return set.Add(tx, 1) })
		meet(t, a, b)
		wantEqual(t, "in the set after an add that saw the removal", contains(t, b, set, 1), true)
	}
}

func TestRemoveWinsSetRemovesWhatItDidNotSee(t *testing.T) {
	set := NewSet[string](RemoveWins, "s")
	a, b := duo()
	commit(t, a, 1, func(tx Tx) error { return set.Add(tx, "x") })
	wantEqual(t, "found", removeElement(t, b, set, "x"), false)
	meet(t, a, b)
	wantEqual(t, "in the set", contains(t, a, set, "x"), false)
	wantEqual(t, "list", read(t, a, set.List), []string(nil))
	removed := commitFound(t, a, set.Delete)
	wantEqual(t, "memory of removals was deleted", removed, true)
	wantEqual(t, "leaf", hasLeaf(t, a, set.Path()), false)
}

func TestSetIsOrderedByEncodedBytes(t *testing.T) {
	for _, policy := range []SetPolicy{AddWins, RemoveWins} {
		ints := NewSet[int](policy, "i")
		words := NewSet[string](policy, "w")
		a, _ := duo()
		commit(t, a, 1, func(tx Tx) error {
			for _, i := range []int{-1, 300, 5, 0, 5, -200} {
				if err := ints.Add(tx, i); err != nil {
					return err
				}
			}
			for _, w := range []string{"dog", "a", "cat", ""} {
				if err := words.Add(tx, w); err != nil {
					return err
				}
			}
			return nil
		})
		wantEqual(t, "ints", read(t, a, ints.List), []int{0, 5, 300, -200, -1})
		wantEqual(t, "words", read(t, a, words.List), []string{"", "a", "cat", "dog"})
		for element, err := range ints.All(a.View()) {
			if err != nil || element != 0 {
				t.Errorf("first element %d, %v", element, err)
			}
			break
		}
		fold := read(t, a, func(v View) (Raw, error) { return Fold(v, words.Path(), words.kind) })
		wantEqual(t, "fold", fold.String(), `["","a","cat","dog"]`)
	}
}

func TestSetElementsAreEqualIfTheirBytesAre(t *testing.T) {
	type pair struct {
		B, A int
	}
	type same struct {
		A, B int
	}
	a, _ := duo()
	commit(t, a, 1, func(tx Tx) error {
		if err := NewSet[pair](AddWins, "p").Add(tx, pair{B: 2, A: 1}); err != nil {
			return err
		}
		return NewSet[float64](AddWins, "n").Add(tx, 1)
	})
	wantEqual(t, "fields in another order", contains(t, a, NewSet[same](AddWins, "p"), same{1, 2}), true)
	wantEqual(t, "1 where 1.0 is", contains(t, a, NewSet[int](AddWins, "n"), 1), false)
	wantErr(t, a, NewSet[string](AddWins, "n").List, ErrValue)
}

func TestSetRefusesWhatFitsNoKey(t *testing.T) {
	a, _ := duo()
	set := NewSet[string](AddWins, "s")
	err := a.Update(1, func(tx Tx) error { return set.Add(tx, strings.Repeat("x", MaxKeyBytes)) })
	if !errors.Is(err, ErrPath) {
		t.Errorf("long element: %v", err)
	}
	err = a.Update(1, func(tx Tx) error { return NewSet[string](9, "s").Add(tx, "x") })
	if !errors.Is(err, ErrValue) {
		t.Errorf("policy 9: %v", err)
	}
	wantErr(t, a, NewSet[string](9, "s").List, ErrValue)
	commitRaw(t, a, set.key+"\xc1", []byte{0xc3})
	wantErr(t, a, set.List, ErrValue)
	wantErr(t, a, func(v View) (Raw, error) { return Fold(v, set.Path(), TypeSetAddWins) }, ErrValue)
	rem := NewSet[string](RemoveWins, "r")
	commitRaw(t, a, rem.key+"\xa1x", []byte{1})
	wantErr(t, a, rem.List, ErrValue)
	wantErr(t, a, func(v View) (bool, error) { return rem.Contains(v, "x") }, ErrValue)
}

// commitRaw puts bytes that no lens writes.
func commitRaw(t *testing.T, r *Replica, k Key, value []byte) {
	t.Helper()
	commit(t, r, 1, func(tx Tx) error { return tx.Put(k, value) })
}

func TestSetKeepsItsBytes(t *testing.T) {
	a, b := duo()
	for _, policy := range []SetPolicy{AddWins, RemoveWins} {
		set := NewSet[string](policy, "s")
		commit(t, a, 1, func(tx Tx) error { return set.Add(tx, "x") })
		commit(t, a, 1, func(tx Tx) error { return set.Add(tx, "y") })
		commit(t, b, 1, func(tx Tx) error { return set.Add(tx, "x") })
		removeElement(t, b, set, "x")
	}
	meet(t, a, b)
	checkGolden(t, "set.golden", dump(t, a))
}
