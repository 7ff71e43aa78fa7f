package crdttest

import (
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"pgregory.net/rapid"
)

// Lens describes a type to the suite. Op is one operation of it, as data that
// %v prints.
type Lens[Op any] struct {
	// Name is quoted by failures.
	Name string
	// Op draws one operation.
	Op *rapid.Generator[Op]
	// Apply performs op as a part of a transaction. It must do the same
	// whenever it is given the same op, writer and state. An error fails
	// the test: what is legal but refused, the function has to swallow.
	Apply func(tx crdt.Tx, op Op) error
	// Observe returns all that the lens reads, in one canonical form: two
	// states that a caller could tell apart give different strings.
	Observe func(v crdt.View) (string, error)
	// Model computes from a history what Observe must return on a state
	// that covers it. Let it be dumb. Optional.
	Model func(h History[Op]) string
}

// Run tries every law on l, with as many random cases as -rapid.checks says.
func Run[Op any](t *testing.T, l Lens[Op]) {
	t.Helper()
	check(t, l, (*crdt.Replica).Merge, func(Law) bool { return true })
}

// mergeFunc is how deltas are merged; tests of the suite break it.
type mergeFunc func(r *crdt.Replica, d crdt.Delta) error

func check[Op any](t rapid.TB, l Lens[Op], merge mergeFunc, tries func(Law) bool) {
	t.Helper()
	scripts := rapid.Custom(func(t *rapid.T) script[Op] { return drawScript(t, l.Op) })
	rapid.Check(t, func(t *rapid.T) {
		w := &world[Op]{lens: l, merge: merge, script: scripts.Draw(t, "script")}
		for _, a := range w.laws() {
			if a.law == CallsSucceed || tries(a.law) { // the first one plays the script
				a.try(t)
			}
		}
	})
}
