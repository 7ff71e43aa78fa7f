package history

import "github.com/anabranch-db/anabranch/crdt"

// Step is one operation that was performed somewhere in a fleet.
type Step[Op any] struct {
	// Op is the operation.
	Op Op
	// Dot is that of the transaction which it was a part of.
	Dot crdt.Dot
	// Time is the transaction's timestamp, for ties between concurrent
	// operations; 0 where the transaction wrote nothing.
	Time crdt.Timestamp

	seen  crdt.Vector // what the replica covered before the transaction
	place int         // in the transaction
}

// Saw reports whether s was performed on a state that held the effect of o.
func (s *Step[Op]) Saw(o *Step[Op]) bool {
	return s.seen.Covers(o.Dot) || (s.Dot == o.Dot && o.place < s.place)
}

// Later reports whether s wins over o where both wrote one record at once: by
// time, then by dot, and within a transaction by place.
func (s *Step[Op]) Later(o *Step[Op]) bool {
	if s.Dot == o.Dot {
		return s.place > o.place
	}
	return (&crdt.Event{Dot: s.Dot, Time: s.Time}).Later(&crdt.Event{Dot: o.Dot, Time: o.Time})
}

// History holds the operations that some state covers. Whatever a step saw
// comes before it.
type History[Op any] []Step[Op]

// Seen returns the steps of h that s saw.
func (h History[Op]) Seen(s *Step[Op]) History[Op] {
	var seen History[Op]
	for i := range h {
		if s.Saw(&h[i]) {
			seen = append(seen, h[i])
		}
	}
	return seen
}

// Latest returns the steps of h that pick chooses and that no step which over
// chooses saw: those that nothing superseded.
func (h History[Op]) Latest(pick, over func(op Op) bool) History[Op] {
	var latest History[Op]
	for i := range h {
		if pick(h[i].Op) && !h.sawAny(&h[i], over) {
			latest = append(latest, h[i])
		}
	}
	return latest
}

// sawAny reports whether a step that over chooses saw s.
func (h History[Op]) sawAny(s *Step[Op], over func(op Op) bool) bool {
	for i := range h {
		if over(h[i].Op) && h[i].Saw(s) {
			return true
		}
	}
	return false
}

// Record adds the operations of one transaction, in their order: with the
// transaction's dot and timestamp, and the expanded vector that its replica had
// before it, which is kept.
func (h *History[Op]) Record(dot crdt.Dot, time crdt.Timestamp, seen crdt.Vector, ops ...Op) {
	for i, op := range ops {
		*h = append(*h, Step[Op]{Op: op, Dot: dot, Time: time, seen: seen, place: i})
	}
}

// CoveredBy returns the steps of h that v covers.
func (h History[Op]) CoveredBy(v crdt.Vector) History[Op] {
	var out History[Op]
	for i := range h {
		if v.Covers(h[i].Dot) {
			out = append(out, h[i])
		}
	}
	return out
}

// Map returns the steps of h whose operations f takes for operations of another
// kind, such as what those on a map are to one of its leaves. Who saw whom stays.
func Map[A, B any](h History[A], f func(op A) (B, bool)) (out History[B]) {
	for i := range h {
		if op, ok := f(h[i].Op); ok {
			s := &h[i]
			out = append(out, Step[B]{Op: op, Dot: s.Dot, Time: s.Time, seen: s.seen, place: s.place})
		}
	}
	return out
}
