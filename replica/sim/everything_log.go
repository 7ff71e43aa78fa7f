package sim

import (
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/history"
)

var entries = crdt.NewLog[int64]("l")

// addToLog adds to what a transaction does, now and then, that it appends to a
// log, or empties it. Every entry is another.
func (a *Everything) addToLog(ops []operation, d *Draw) []operation {
	switch r := d.IntN(10); {
	case r == 0:
		return append(ops, operation{verb: deleteLog})
	case r < 3:
		a.appended++
		return append(ops, operation{verb: appendToLog, n: a.appended})
	}
	return ops
}

// checkLog compares a log with the history: it must hold what was appended, but
// for what was there when it was emptied, and what had seen an entry behind that.
func checkLog(v crdt.View, h history.History[operation]) error {
	got, err := entries.List(v)
	if err != nil {
		return err
	}
	steps := map[int64]history.Step[operation]{}
	appends := func(o operation) bool { return o.verb == appendToLog }
	for _, s := range h.Latest(appends, func(o operation) bool { return o.verb == deleteLog }) {
		steps[s.Op.n] = s
	}
	if len(got) != len(steps) {
		return fmt.Errorf("the log holds %d entries, and must hold %d", len(got), len(steps))
	}
	for i, n := range got {
		s, found := steps[n]
		if !found {
			return fmt.Errorf("the log holds entry %d, which was removed", n)
		}
		for _, before := range h.Seen(&s) {
			if before.Op.verb == appendToLog && before.Dot != s.Dot && slices.Contains(got[i+1:], before.Op.n) {
				return fmt.Errorf("entry %d of the log is ahead of %d, which it had seen", n, before.Op.n)
			}
		}
	}
	return nil
}
