package sim

import (
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// records wants that each key holds exactly what the history says, of what the
// node covers: nothing that was superseded (so nothing removed comes back), all
// that was not (so nothing is lost, and a transaction is there whole or not at
// all). Only removals and expired values that the floor covers may be missing.
var records = checker{
	name: "records",
	state: func(w *world, sp *space, _ *state) string {
		l, at := w.ledger.of(sp.name), sp.visible
		for _, k := range l.keys {
			if what := l.differs(k, at, sp.lineage.Past(at.floor)); what != "" {
				return fmt.Sprintf("%s: key %q %s", sp.name, string(k), what)
			}
		}
		for _, e := range at.entries {
			if l.events[e.Key] == nil {
				return fmt.Sprintf("%s: key %q, which nobody wrote", sp.name, string(e.Key))
			}
		}
		return ""
	},
}

// differs says how the record at k differs from what the history wants.
func (l *spaceLedger) differs(k crdt.Key, at *state, floor *crdt.Past) string {
	held := at.get(k)
	for i := range held {
		if !at.past.Covers(held[i].Dot) {
			return fmt.Sprintf("holds %s:%d, which is not covered", held[i].Writer, held[i].Seq)
		}
	}
	want := l.expect(k, at.past)
	for i := range held {
		j := slices.IndexFunc(want, func(e crdt.Event) bool { return e.Dot == held[i].Dot })
		if j < 0 {
			return fmt.Sprintf("holds %s:%d, which was superseded", held[i].Writer, held[i].Seq)
		}
		if want[j].Time != held[i].Time || want[j].Removed != held[i].Removed || want[j].Expires != held[i].Expires ||
			string(want[j].Value) != string(held[i].Value) {
			return fmt.Sprintf("holds %s:%d with other contents", held[i].Writer, held[i].Seq)
		}
		want = slices.Delete(want, j, j+1)
	}
	for _, e := range want {
		if !((e.Removed || e.Expires != 0) && floor.Covers(e.Dot)) {
			return fmt.Sprintf("lacks %s:%d, which it covers", e.Writer, e.Seq)
		}
	}
	return ""
}
