package crdttest

import (
	"iter"

	"github.com/anabranch-db/anabranch/crdt"
)

// collected is a View of a node that has dropped some removals, as nodes do
// at different times.
type collected struct {
	crdt.View
	// drops chooses, by the removal's dot.
	drops func(d crdt.Dot) bool
}

// collections are the choices that are tried: all, and either half.
func collections() []func(crdt.Dot) bool {
	return []func(crdt.Dot) bool{
		func(crdt.Dot) bool { return true },
		func(d crdt.Dot) bool { return (uint64(d.Writer[0])+d.Seq)%2 == 0 },
		func(d crdt.Dot) bool { return (uint64(d.Writer[0])+d.Seq)%2 == 1 },
	}
}

func (c collected) left(rec crdt.Record) (left crdt.Record) {
	for _, e := range rec {
		if !e.Removed || !c.drops(e.Dot) {
			left = append(left, e)
		}
	}
	return left
}

func (c collected) Get(k crdt.Key) (crdt.Record, error) {
	rec, err := c.View.Get(k)
	return c.left(rec), err
}

func (c collected) Scan(s crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for e, err := range c.View.Scan(s) {
			if e.Record = c.left(e.Record); len(e.Record) == 0 && err == nil {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (c collected) Last(s crdt.Span) (last crdt.Entry, ok bool, err error) {
	for e, err := range c.Scan(s) {
		if err != nil {
			return e, false, err
		}
		last, ok = e, true
	}
	return last, ok, nil
}
