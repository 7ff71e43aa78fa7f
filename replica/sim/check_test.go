package sim

import (
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// sabotaged runs a world in which all goes well up to a moment, and then has
// something done to its first node that must be found. It returns by which
// check.
func sabotaged(t *testing.T, sabotage func(w *world, sp *space)) (found string) {
	t.Helper()
	defer func() {
		if f, ok := recover().(*Failure); ok {
			found = f.Check
		}
	}()
	p := NewPlan(7, nil)
	w := newWorld(p, NewEverything(), nil)
	w.schedule.after(30_000, func() {
		sp := w.nodes[0].spaces[0]
		sabotage(w, sp)
		w.check(w.nodes[0])
	})
	w.schedule.after(29_000, func() { // something to sabotage
		for i := range int64(2) {
			_, err := w.nodes[0].Update("alpha", func(tx crdt.Tx) error { return registers[0].Set(tx, i) })
			if err != nil {
				t.Error(err)
			}
		}
	})
	w.run()
	return ""
}

// sabotage is something done to a world, and the check that is to find it.
type sabotage struct {
	what, check string
	do          func(w *world, sp *space)
}

// change puts another state in the place of a namespace's.
func change(sp *space, fn func(*state)) {
	next := *sp.visible
	next.entries = slices.Clone(next.entries)
	next.past = next.past.Clone()
	fn(&next)
	sp.visible = &next
}

// Each check finds what it is there for.
func TestWhatMustHoldIsChecked(t *testing.T) {
	for _, c := range append(ofContents(t), ofConduct...) {
		if got := sabotaged(t, c.do); got != c.check {
			t.Errorf("%s: found by %q, want %q", c.what, got, c.check)
		}
	}
}

// ofContents is what is done to records.
func ofContents(t *testing.T) []sabotage {
	return []sabotage{
		{"nothing", "", func(*world, *space) {}},
		{"a record is lost", "transactions", func(_ *world, sp *space) {
			change(sp, func(s *state) { s.entries = s.entries[1:] })
		}},
		{"a value is another", "contents", func(_ *world, sp *space) {
			change(sp, func(s *state) {
				e := &s.entries[len(s.entries)-1]
				e.Record = e.Record.Clone()
				e.Record[0].Value = append(e.Record[0].Value, 0)
			})
		}},
		{"something removed comes back", "removed", func(w *world, sp *space) {
			change(sp, func(s *state) {
				for _, k := range w.ledger.of(sp.name).keys {
					for _, m := range w.ledger.of(sp.name).events[k] {
						if rec := s.get(k); !slices.ContainsFunc(rec, func(e crdt.Event) bool { return e.Dot == m.Dot }) {
							*s = *s.put(crdt.Entry{Key: k, Record: append(rec.Clone(), m.Event)})
							return
						}
					}
				}
				t.Error("nothing was superseded")
			})
		}},
	}
}

// ofConduct is what else is done.
var ofConduct = []sabotage{
	{"the vector goes back", "vectors", func(_ *world, sp *space) {
		change(sp, func(s *state) { s.past, s.entries = sp.lineage.Past(nil), nil })
	}},
	{"a dot is used twice", "dots", func(w *world, sp *space) {
		for d := range w.ledger.dots {
			w.ledger.issue(sp, d)
		}
	}},
	{"frames pile up", "bounds", func(_ *world, sp *space) {
		e := sp.node.ends[0]
		e.lanes[1] = make([]frame, maxWaiting+1)
	}},
	{"what was acknowledged is nowhere", "lasting", func(w *world, sp *space) {
		w.ledger.of(sp.name).acked[w.newWriter()] = 1
	}},
	{"what was seen before is not covered", "closed", func(w *world, sp *space) {
		for d := range w.ledger.of(sp.name).saw {
			w.ledger.of(sp.name).saw[d] = crdt.Vector{w.newWriter(): 1}
		}
		sp.checked = nil
	}},
	{"a write is earlier than the one before", "clocks", func(_ *world, sp *space) {
		sp.issued.before, sp.checked = sp.issued.last+1, nil
	}},
	{"a write is a day ahead", "clocks", func(_ *world, sp *space) {
		sp.latest, sp.checked = sp.latest-24*3_600_000, nil
	}},
	{"too many deltas are begun", "rounds", func(_ *world, sp *space) { sp.rounds = 1000 }},
	{"a revocation is not passed on", "revocations", func(w *world, sp *space) {
		o := w.nodes[len(w.nodes)-1]
		w.revoked[o.id] = true
		sp.node.revocations = append(sp.node.revocations, statement(o.id))
	}},
}
