package crdt

import (
	"errors"
	"fmt"
	"testing"
)

func TestLeavesAreListedByPathThenType(t *testing.T) {
	a, _ := duo()
	commit(t, a, 1, func(tx Tx) error {
		return errors.Join(
			NewSet[string](AddWins, "b").Add(tx, "x"),
			NewSet[string](AddWins, "b").Add(tx, "y"),
			NewRegister[int]("b").Set(tx, 1),
			NewRegister[int]("b", "below").Set(tx, 1),
			NewCounter("a").Add(tx, 1),
			NewCounter("gone").Add(tx, 1),
			NewRegister[int]("gone").Set(tx, 1),
		)
	})
	restart(a, 0xa1)
	commit(t, a, 1, func(tx Tx) error { return NewCounter("a").Add(tx, 1) })
	commitRaw(t, a, mustSub(t, Path{"b"}, 'Z', "of a later release"), nil)
	commitFound(t, a, NewCounter("gone").Delete)
	commitFound(t, a, NewRegister[int]("gone").Delete)
	list := func(s Span) (out []string) {
		for leaf, err := range Leaves(a.View(), s) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s:%c", leaf.Path, leaf.Type))
		}
		return out
	}
	wantEqual(t, "all", list(AllKeys), []string{"a:c", "b:Z", "b:r", "b:s", "b/below:r"})
	here, err := Path{"b"}.Here()
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "at one path", list(here), []string{"b:Z", "b:r", "b:s"})
	for leaf := range Leaves(a.View(), AllKeys) {
		wantEqual(t, "first", leaf.Path.String(), "a")
		break
	}
}

func TestFoldGivesOneValueForEachType(t *testing.T) {
	p := Path{"k"}
	a, _ := duo()
	want := map[Type]string{
		TypeRegister: `"v"`, TypeMultiValue: `["v"]`, TypeCounter: "2", TypeSetAddWins: `["e"]`, TypeSetRemWins: `["e"]`,
		TypeFlagEnable: "true", TypeFlagDisable: "false", TypeMax: "1", TypeMin: "1", TypeLog: `["v"]`,
	}
	for _, l := range lenses(p) {
		commit(t, a, 1, l.write)
	}
	for _, l := range lenses(p) {
		fold := func(v View) (Raw, error) { return Fold(v, p, l.kind) }
		wantEqual(t, l.name, read(t, a, fold).String(), want[l.kind])
		text := func(v View) ([]byte, error) { return FoldJSON(v, p, l.kind) }
		wantEqual(t, l.name, string(read(t, a, text)), want[l.kind])
		remove := func(tx Tx) (bool, error) { return RemoveAt(tx, p, l.kind) }
		b := a.Clone()
		restart(b, 0xb)
		wantEqual(t, "found", commitFound(t, b, remove), true)
		wantEqual(t, "found again", commitFound(t, b, remove), false)
		wantErr(t, b, fold, ErrWrongType)
		wantErr(t, b, text, ErrWrongType)
		wantErr(t, NewReplica(NodeID{1}, WriterID{1}), fold, ErrMissing)
	}
}

func TestTypesOfLaterReleasesAreKeptListedAndRemoved(t *testing.T) {
	a, _ := duo()
	p := Path{"k"}
	commitRaw(t, a, mustSub(t, p, 'Z', "1"), []byte{0xc1})
	commitRaw(t, a, mustSub(t, p, 'Z', "2"), []byte{0xc1})
	wantErr(t, a, func(v View) (Raw, error) { return Fold(v, p, 'Z') }, ErrUnknownType)
	wantErr(t, a, NewRegister[int]("k").Get, ErrWrongType)
	wantErr(t, a, NewMap[Raw]("k").Get, ErrMissing)
	// A record that this release does not know makes no register.
	commitRaw(t, a, mustSub(t, Path{"r"}, TypeRegister, "more"), []byte{1})
	wantErr(t, a, NewRegister[int]("r").Get, ErrMissing)
	wantErr(t, a, NewMap[Raw]("r").Get, ErrMissing)
	wantEqual(t, "found", commitFound(t, a, func(tx Tx) (bool, error) { return RemoveAt(tx, p, 'Z') }), true)
	wantEqual(t, "leaf", hasLeaf(t, a, p), false)
}
