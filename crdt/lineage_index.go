package crdt

import (
	"encoding/binary"
	"maps"
	"slices"
)

// index finds runs by their ids. The few that came last are in a map, the
// others in a list ordered by id: that takes 8 bytes for each in place of the
// 30 of a map, and those few are what most questions are about.
type index struct {
	sorted []indexed
	fresh  map[WriterID]uint32
}

// indexed is a run in the list. The head of its id spares most looks at the run.
type indexed struct{ head, run uint32 }

func headOf(w WriterID) uint32 { return binary.BigEndian.Uint32(w[:]) }

// freshRuns is how many runs are in the map at least before they are moved: a
// fleet of ordinary size never has the list. With an eighth of the list the
// moves stay linear in all.
const freshRuns = 1 << 9

// clone returns a copy; a list is never changed.
func (x *index) clone() index { return index{x.sorted, maps.Clone(x.fresh)} }

func (x *index) find(runs []run, w WriterID) (uint32, bool) {
	if i, ok := x.fresh[w]; ok {
		return i, true
	}
	head := headOf(w)
	from, to := 0, len(x.sorted)
	for from < to {
		mid := (from + to) / 2
		at := x.sorted[mid]
		before := at.head < head
		if at.head == head {
			c := runs[at.run].id.Compare(w)
			if c == 0 {
				return at.run, true
			}
			before = c < 0
		}
		if before {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return 0, false
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
	last := make([]indexed, 0, len(x.fresh))
	for w, j := range x.fresh {
		last = append(last, indexed{headOf(w), j})
	}
	order := func(a, b indexed) int { return runs[a.run].id.Compare(runs[b.run].id) }
	slices.SortFunc(last, order)
	merged := make([]indexed, 0, len(x.sorted)+len(last))
	for _, p := range x.sorted {
		for len(last) > 0 && (last[0].head < p.head || last[0].head == p.head && order(last[0], p) < 0) {
			merged, last = append(merged, last[0]), last[1:]
		}
		merged = append(merged, p)
	}
	x.sorted = append(merged, last...)
	clear(x.fresh)
}

// fill makes the list of all runs, and returns a run that another one before
// has the id of, if there is one. Nothing is in the index yet.
func (x *index) fill(runs []run) (twice uint32, found bool) {
	x.sorted = make([]indexed, len(runs))
	for i := range runs {
		x.sorted[i] = indexed{headOf(runs[i].id), uint32(i)}
	}
	x.sorted = sortHeads(x.sorted)
	for from, to := 0, 0; from < len(x.sorted); from = to {
		for to = from + 1; to < len(x.sorted) && x.sorted[to].head == x.sorted[from].head; to++ {
		}
		same := x.sorted[from:to]
		if len(same) == 1 {
			continue
		}
		slices.SortFunc(same, func(a, b indexed) int { return runs[a.run].id.Compare(runs[b.run].id) })
		for i := range same[1:] {
			if runs[same[i].run].id == runs[same[i+1].run].id {
				return max(same[i].run, same[i+1].run), true
			}
		}
	}
	return 0, false
}

// sortHeads orders a list by its heads, a byte of them at a time from the last:
// for thousands that is several times as fast as to compare. It uses the list.
func sortHeads(list []indexed) []indexed {
	other := make([]indexed, len(list))
	for shift := 0; shift < 32; shift += 8 {
		var at [256]int
		for _, r := range list {
			at[byte(r.head>>shift)]++
		}
		sum := 0
		for b, n := range at {
			at[b], sum = sum, sum+n
		}
		for _, r := range list {
			b := byte(r.head >> shift)
			other[at[b]] = r
			at[b]++
		}
		list, other = other, list
	}
	return list
}
