package sim

import "container/heap"

// schedule holds what is to be done, by virtual time in milliseconds. What is
// due at one time is done in the order in which it was planned.
type schedule struct {
	now   int64
	count uint64
	due   deeds
}

type deed struct {
	at     int64
	number uint64
	do     func()
}

// after plans something for some milliseconds from now.
func (s *schedule) after(millis int64, do func()) {
	s.count++
	heap.Push(&s.due, deed{s.now + max(millis, 0), s.count, do})
}

// next does what is due next, and reports whether there was anything by a time.
func (s *schedule) next(until int64) bool {
	if len(s.due) == 0 || s.due[0].at > until {
		s.now = max(s.now, until)
		return false
	}
	d := heap.Pop(&s.due).(deed)
	s.now = d.at
	d.do()
	return true
}

// deeds is a heap.
type deeds []deed

func (d deeds) Len() int { return len(d) }
func (d deeds) Less(i, j int) bool {
	return d[i].at < d[j].at || d[i].at == d[j].at && d[i].number < d[j].number
}
func (d deeds) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deeds) Push(x any)   { *d = append(*d, x.(deed)) }
func (d *deeds) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}
