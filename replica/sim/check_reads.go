package sim

import (
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// reads wants that what was read once is read again, until something that is
// covered now, and was not then, superseded it.
var reads = checker{
	name: "reads",
	state: func(w *world, sp *space, before *state) string {
		if before == nil {
			return ""
		}
		l := w.ledger.of(sp.name)
		for _, e := range before.entries {
			now := sp.visible.get(e.Key)
			if len(now) > 0 && sameRecord(now, e.Record) || l.rotten[e.Key] {
				continue
			}
			for _, ev := range e.Record {
				if ev.Removed || ev.Expires != 0 || slices.ContainsFunc(now, func(o crdt.Event) bool { return o.Dot == ev.Dot }) {
					continue
				}
				if !slices.ContainsFunc(l.events[e.Key], func(m made) bool {
					return slices.Contains(m.over, ev.Dot) && sp.visible.past.Covers(m.Dot) && !before.past.Covers(m.Dot)
				}) {
					return fmt.Sprintf("%s: key %q: %s:%d was read, and is gone", sp.name, string(e.Key), ev.Writer, ev.Seq)
				}
			}
		}
		return ""
	},
}
