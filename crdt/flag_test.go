package crdt

import (
	"errors"
	"testing"
)

func TestFlagPolicyDecidesConcurrentWrites(t *testing.T) {
	type write struct{ a, b bool }
	for _, c := range []struct {
		policy FlagPolicy
		write  write
		want   bool
	}{
		{EnableWins, write{true, false}, true},
		{EnableWins, write{false, true}, true},
		{EnableWins, write{false, false}, false},
		{EnableWins, write{true, true}, true},
		{DisableWins, write{true, false}, false},
		{DisableWins, write{false, true}, false},
		{DisableWins, write{false, false}, false},
		{DisableWins, write{true, true}, true},
	} {
		for _, before := range []bool{false, true} { // what both saw decides nothing
			flag := NewFlag(c.policy, "f")
			a, b := duo()
			commit(t, a, 1, func(tx Tx) error { return flag.Set(tx, before) })
			meet(t, a, b)
			commit(t, a, 5000, func(tx Tx) error { return flag.Set(tx, c.write.a) })
			commit(t, b, 1, func(tx Tx) error { return flag.Set(tx, c.write.b) })
			meet(t, a, b)
			if got := read(t, a, flag.Enabled); got != c.want {
				t.Errorf("%s, %v beside %v: %v", c.policy, c.write.a, c.write.b, got)
			}
		}
	}
}

func TestFlagWriteThatSawAnotherReplacesIt(t *testing.T) {
	for _, policy := range []FlagPolicy{EnableWins, DisableWins} {
		flag := NewFlag(policy, "f")
		a, b := duo()
		for _, on := range []bool{true, false, true} {
			commit(t, a, 1, func(tx Tx) error { return flag.Set(tx, on) })
			meet(t, a, b)
			wantEqual(t, policy.String(), read(t, b, flag.Enabled), on)
			a, b = b, a
		}
	}
}

func TestFlagWriteBesideDeletionSurvives(t *testing.T) {
	for _, policy := range []FlagPolicy{EnableWins, DisableWins} {
		for _, on := range []bool{true, false} {
			flag := NewFlag(policy, "f")
			a, b := duo()
			commit(t, a, 1, func(tx Tx) error { return flag.Set(tx, !on) })
			meet(t, a, b)
			commitFound(t, a, flag.Delete)
			commit(t, b, 1, func(tx Tx) error { return flag.Set(tx, on) })
			meet(t, a, b)
			wantEqual(t, policy.String(), read(t, a, flag.Enabled), on)
		}
	}
}

func TestFlagRefusesAnUnknownPolicyAndMalformedBytes(t *testing.T) {
	a, _ := duo()
	if err := a.Update(1, NewFlag(7, "f").Enable); !errors.Is(err, ErrValue) {
		t.Errorf("policy 7: %v", err)
	}
	wantErr(t, a, NewFlag(7, "f").Enabled, ErrValue)
	flag := NewFlag(EnableWins, "f")
	for _, value := range [][]byte{nil, {1}, {0xc3, 0xc3}, {0xc0}} {
		commit(t, a, 1, func(tx Tx) error { return tx.Put(flag.key, value) })
		wantErr(t, a, flag.Enabled, ErrValue)
		wantErr(t, a, func(v View) (Raw, error) { return Fold(v, flag.Path(), TypeFlagEnable) }, ErrValue)
	}
}

func TestFlagKeepsItsBytes(t *testing.T) {
	a, b := duo()
	commit(t, a, 1, NewFlag(EnableWins, "e").Enable)
	commit(t, a, 1, NewFlag(DisableWins, "d").Enable)
	commit(t, b, 1, NewFlag(DisableWins, "d").Disable)
	meet(t, a, b)
	checkGolden(t, "flag.golden", dump(t, a))
}
