package crdt

import (
	"maps"
	"slices"
)

// index finds runs by their ids. The few that came last are in a map, the
// others in a list ordered by id: that takes 4 bytes for each in place of the
// 30 of a map, and those few are what most questions are about.
type index struct {
	sorted []uint32
	fresh  map[WriterID]uint32
}

// freshRuns is how many runs are in the map at least before they are moved: a
// fleet of ordinary size never has the list. With an eighth of the list the
// moves stay linear in all.
const freshRuns = 1 << 9

func (x *index) clone() index { return index{x.sorted, maps.Clone(x.fresh)} }

func (x *index) find(runs []run, w WriterID) (uint32, bool) {
	if i, ok := x.fresh[w]; ok {
		return i, true
	}
	at, ok := slices.BinarySearchFunc(x.sorted, w, func(i uint32, w WriterID) int { return runs[i].id.Compare(w) })
	if !ok {
		return 0, false
	}
	return x.sorted[at], true
}

// add adds a run that is not there yet.
func (x *index) add(runs []run, i uint32) {
	if x.fresh == nil {
		x.fresh = map[WriterID]uint32{}
	}
	x.fresh[runs[i].id] = i
	if len(x.fresh) < max(freshRuns, len(x.sorted)/8) {
		return
	}
	last := slices.Collect(maps.Values(x.fresh))
	order := func(a, b uint32) int { return runs[a].id.Compare(runs[b].id) }
	slices.SortFunc(last, order)
	merged := make([]uint32, 0, len(x.sorted)+len(last)) // a clone may share the old one
	for _, j := range x.sorted {
		for len(last) > 0 && order(last[0], j) < 0 {
			merged, last = append(merged, last[0]), last[1:]
		}
		merged = append(merged, j)
	}
	x.sorted = append(merged, last...)
	clear(x.fresh)
}
