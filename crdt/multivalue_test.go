package crdt

import "testing"

func TestMultiValueKeepsAllConcurrentWrites(t *testing.T) {
	mv := NewMultiValue[string]("k")
	a, b := duo()
	commit(t, a, 2000, func(tx Tx) error { return mv.Set(tx, "a") })
	commit(t, b, 1000, func(tx Tx) error { return mv.Set(tx, "b") })
	meet(t, a, b)
	wantEqual(t, "values by time", read(t, a, mv.Get), []string{"b", "a"})
	wantEqual(t, "siblings", read(t, a, mv.Siblings), []Sibling[string]{
		{"b", TimestampOf(1000), WriterID{0xb}, NodeID{0xb}, 0},
		{"a", TimestampOf(2000), WriterID{0xa}, NodeID{0xa}, 0},
	})
	fold := func(v View) (Raw, error) { return Fold(v, mv.Path(), TypeMultiValue) }
	wantEqual(t, "fold", read(t, a, fold).String(), `["b","a"]`)
	commit(t, a, 0, func(tx Tx) error { return mv.Set(tx, "both seen") })
	meet(t, a, b)
	wantEqual(t, "after a write that saw both", read(t, b, mv.Get), []string{"both seen"})
}

func TestMultiValueWriteBesideDeletionSurvives(t *testing.T) {
	mv := NewMultiValue[string]("k")
	a, b := duo()
	commit(t, a, 1, func(tx Tx) error { return mv.Set(tx, "seen") })
	meet(t, a, b)
	commitFound(t, a, mv.Delete)
	commit(t, b, 1, func(tx Tx) error { return mv.Set(tx, "not seen") })
	meet(t, a, b)
	wantEqual(t, "values", read(t, a, mv.Get), []string{"not seen"})
}

func TestMultiValueKeepsItsBytes(t *testing.T) {
	mv := NewMultiValue[[]int]("k")
	a, b := duo()
	commit(t, a, 1, func(tx Tx) error { return mv.Set(tx, []int{1, -1}) })
	commit(t, b, 1, func(tx Tx) error { return mv.Set(tx, []int{300}) })
	meet(t, a, b)
	checkGolden(t, "multivalue.golden", dump(t, a))
}
