package crdttest

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

func TestLog(t *testing.T) { Run(t, logAt("l")) }

func logAt(path ...string) Lens[op] {
	log := crdt.NewLog[int64](path...)
	return Lens[op]{
		Name: "log", Op: ops(write, wipe),
		Apply: func(tx crdt.Tx, o op) error {
			if o.verb == write {
				return log.Append(tx, o.n)
			}
			before, err := log.List(tx)
			if err != nil {
				return err
			}
			n, err := log.Trim(tx, int(o.n))
			return agree(n > 0, err, len(before) > max(int(o.n), 0))
		},
		Observe: func(v crdt.View) (string, error) { return show(log.List(v)) },
		Model:   func(h History[op]) string { return fmt.Sprint(logged(h)) },
	}
}

// logged plays the history. An entry's index is one more than the greatest
// one that its step saw; a trim removes the oldest of what its step saw.
func logged(h History[op]) []int64 {
	index := make([]int, len(h))
	removes := make([]map[int]bool, len(h))
	visible := func(covered func(i int) bool) (entries []int) {
		for i := range h {
			live := covered(i) && h[i].Op.verb == write
			for j := range h {
				live = live && !(covered(j) && removes[j][i])
			}
			if live {
				entries = append(entries, i)
			}
		}
		slices.SortFunc(entries, func(a, b int) int {
			return cmp.Or(cmp.Compare(index[a], index[b]), h[a].Dot.Writer.Compare(h[b].Dot.Writer))
		})
		return entries
	}
	for i := range h {
		saw := func(j int) bool { return j < i && h[i].Saw(&h[j]) }
		if h[i].Op.verb == write {
			for j := range h[:i] {
				if saw(j) {
					index[i] = max(index[i], index[j])
				}
			}
			index[i]++
			continue
		}
		entries := visible(saw)
		removes[i] = map[int]bool{}
		for _, e := range entries[:max(0, len(entries)-max(int(h[i].Op.n), 0))] {
			removes[i][e] = true
		}
	}
	var values []int64
	for _, e := range visible(func(int) bool { return true }) {
		values = append(values, h[e].Op.n)
	}
	return values
}
