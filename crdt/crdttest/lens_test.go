package crdttest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"pgregory.net/rapid"
)

// This file and its neighbours try the laws on every lens of package crdt,
// each beside a model that knows nothing of records: it looks at the whole
// history, and at who saw what.

// verb says what an operation does; each lens uses those it has.
type verb byte

const (
	write  verb = 'w' // set, add, append, enable
	remove verb = 'r' // remove one element, disable
	reset  verb = '0' // take away what a counter has
	wipe   verb = 'x' // delete the whole, or trim it
)

// op is an operation on a lens of small numbers.
type op struct {
	verb verb
	n    int64
}

func (o op) String() string { return fmt.Sprintf("%c%d", o.verb, o.n) }

// ops draws mostly writes, of few numbers.
func ops(verbs ...verb) *rapid.Generator[op] {
	kinds := rapid.SampledFrom(append(slices.Repeat(verbs[:1], len(verbs)), verbs...))
	amounts := rapid.SampledFrom([]int64{1, 2, 3, -1})
	return rapid.Custom(func(t *rapid.T) op { return op{kinds.Draw(t, "verb"), amounts.Draw(t, "n")} })
}

func is(vs ...verb) func(op) bool { return func(o op) bool { return slices.Contains(vs, o.verb) } }

func anything(op) bool { return true }

// show prints what a read returned. What is missing is an answer, too.
func show(value any, err error) (string, error) {
	if errors.Is(err, crdt.ErrMissing) {
		return "missing", nil
	}
	return fmt.Sprint(value), err
}

// agree checks what a deletion says about what was there.
func agree(found bool, err error, there bool) error {
	if err == nil && found != there {
		return fmt.Errorf("found: %v, but there was something: %v", found, there)
	}
	return err
}

// latestOf is the winner of a last-writer-wins register.
func latestOf[Op any](live History[Op]) *Step[Op] {
	var w *Step[Op]
	for i := range live {
		if w == nil || live[i].Later(w) {
			w = &live[i]
		}
	}
	return w
}

func TestRegister(t *testing.T) { Run(t, registerAt("r")) }

func registerAt(path ...string) Lens[op] {
	reg := crdt.NewRegister[int64](path...)
	return Lens[op]{
		Name: "register", Op: ops(write, wipe),
		Apply: func(tx crdt.Tx, o op) error {
			if o.verb == write {
				return reg.Set(tx, o.n)
			}
			_, missing := reg.Get(tx)
			found, err := reg.Delete(tx)
			return agree(found, err, missing == nil)
		},
		Observe: func(v crdt.View) (string, error) {
			n, err := reg.Get(v)
			if err != nil {
				return show(n, err)
			}
			all, err := reg.Conflicts(v)
			for i := 1; i < len(all); i++ {
				if all[i].Time > all[i-1].Time {
					err = fmt.Errorf("conflicts %v are not ordered, winner first", all)
				}
			}
			return fmt.Sprint(n, len(all)), err
		},
		Model: func(h History[op]) string {
			live := h.Latest(is(write), anything)
			if w := latestOf(live); w != nil {
				return fmt.Sprint(w.Op.n, len(live))
			}
			return "missing"
		},
	}
}

func TestMultiValue(t *testing.T) { Run(t, multiValueAt("v")) }

func multiValueAt(path ...string) Lens[op] {
	reg := crdt.NewMultiValue[int64](path...)
	return Lens[op]{
		Name: "multi-value register", Op: ops(write, wipe),
		Apply: func(tx crdt.Tx, o op) error {
			if o.verb == write {
				return reg.Set(tx, o.n)
			}
			_, missing := reg.Get(tx)
			found, err := reg.Delete(tx)
			return agree(found, err, missing == nil)
		},
		Observe: func(v crdt.View) (string, error) { return show(reg.Get(v)) },
		Model: func(h History[op]) string {
			live := h.Latest(is(write), anything)
			slices.SortFunc(live, func(a, b Step[op]) int {
				if b.Later(&a) {
					return -1
				}
				return 1
			})
			if len(live) == 0 {
				return "missing"
			}
			var values []int64
			for i := range live {
				values = append(values, live[i].Op.n)
			}
			return fmt.Sprint(values)
		},
	}
}

func TestFlags(t *testing.T) {
	for _, policy := range []crdt.FlagPolicy{crdt.EnableWins, crdt.DisableWins} {
		t.Run(policy.String(), func(t *testing.T) { Run(t, flagAt(policy, "f")) })
	}
}

func flagAt(policy crdt.FlagPolicy, path ...string) Lens[op] {
	flag := crdt.NewFlag(policy, path...)
	return Lens[op]{
		Name: "flag, " + policy.String(), Op: ops(write, remove, wipe),
		Apply: func(tx crdt.Tx, o op) error {
			switch o.verb {
			case write:
				return flag.Enable(tx)
			case remove:
				return flag.Disable(tx)
			}
			_, missing := flag.Enabled(tx)
			found, err := flag.Delete(tx)
			return agree(found, err, missing == nil)
		},
		Observe: func(v crdt.View) (string, error) { return show(flag.Enabled(v)) },
		Model: func(h History[op]) string {
			ons, offs := h.Latest(is(write), anything), h.Latest(is(remove), anything)
			switch {
			case len(ons)+len(offs) == 0:
				return "missing"
			case policy == crdt.EnableWins:
				return fmt.Sprint(len(ons) > 0)
			}
			return fmt.Sprint(len(offs) == 0)
		},
	}
}

func TestSets(t *testing.T) {
	for _, policy := range []crdt.SetPolicy{crdt.AddWins, crdt.RemoveWins} {
		t.Run(policy.String(), func(t *testing.T) { Run(t, setAt(policy, "s")) })
	}
}

func setAt(policy crdt.SetPolicy, path ...string) Lens[op] {
	set := crdt.NewSet[int64](policy, path...)
	return Lens[op]{
		Name: "set, " + policy.String(), Op: ops(write, remove, wipe),
		Apply: func(tx crdt.Tx, o op) error {
			switch o.verb {
			case write:
				return set.Add(tx, o.n)
			case remove:
				in, err := set.Contains(tx, o.n)
				found, err2 := set.Remove(tx, o.n)
				return agree(found, errors.Join(err, err2), in)
			}
			_, err := set.Delete(tx)
			return err
		},
		Observe: func(v crdt.View) (string, error) { return show(set.List(v)) },
		Model:   func(h History[op]) string { return fmt.Sprint(elements(h, policy)) },
	}
}

// elements are those that were added, and removed by nobody who saw it. Where
// removals win, an element must not have been removed by anybody who did not
// see it added, either.
func elements(h History[op], policy crdt.SetPolicy) []int64 {
	in := []int64{}
	for _, n := range []int64{1, 2, 3, -1} { // in the order of their encodings
		one := func(o op) bool { return o.verb == wipe || o.n == n }
		added := h.Latest(func(o op) bool { return o.verb == write && o.n == n }, one)
		removed := h.Latest(func(o op) bool { return o.verb == remove && o.n == n }, one)
		if len(added) > 0 && (policy == crdt.AddWins || len(removed) == 0) {
			in = append(in, n)
		}
	}
	return in
}

func TestExtrema(t *testing.T) {
	for _, name := range []string{"max", "min"} {
		t.Run(name, func(t *testing.T) { Run(t, extremumAt(name, "x")) })
	}
}

func extremumAt(name string, path ...string) Lens[op] {
	x := crdt.NewMin[int64](path...)
	if name == "max" {
		x = crdt.NewMax[int64](path...)
	}
	better := func(a, b int64) bool { return a > b == (name == "max") && a != b }
	return Lens[op]{
		Name: name, Op: ops(write, wipe),
		Apply: func(tx crdt.Tx, o op) error {
			if o.verb == write {
				return x.Set(tx, o.n)
			}
			_, missing := x.Get(tx)
			found, err := x.Delete(tx)
			return agree(found, err, missing == nil)
		},
		Observe: func(v crdt.View) (string, error) { return show(x.Get(v)) },
		Model: func(h History[op]) string {
			if n, ok := extreme(h, better); ok {
				return fmt.Sprint(n)
			}
			return "missing"
		},
	}
}

// extreme plays the history: a number that beats what its step saw supersedes
// all of that, another one leaves no trace.
func extreme(h History[op], better func(a, b int64) bool) (best int64, ok bool) {
	counts := make([]bool, len(h)) // whether the step wrote
	at := func(covered func(i int) bool) (best int64, ok bool) {
		for i := range h {
			live := covered(i) && counts[i] && h[i].Op.verb == write
			for j := range h {
				live = live && !(covered(j) && counts[j] && h[j].Saw(&h[i]))
			}
			if live && (!ok || better(h[i].Op.n, best)) {
				best, ok = h[i].Op.n, true
			}
		}
		return best, ok
	}
	for i := range h {
		seen, any := at(func(j int) bool { return h[i].Saw(&h[j]) })
		counts[i] = h[i].Op.verb == wipe || !any || better(h[i].Op.n, seen)
	}
	return at(func(int) bool { return true })
}
