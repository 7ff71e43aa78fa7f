package sim

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// closed wants that what a node covers is causally closed: of each transaction
// all that its node had seen before it.
var closed = checker{
	name: "closed",
	state: func(w *world, sp *space, _ *state) string {
		l := w.ledger.of(sp.name)
		for _, v := range w.seen.news {
			d := crdt.Dot{Writer: v.Writer, Seq: v.Last}
			before, found := l.saw[d]
			if !found {
				return fmt.Sprintf("%s: covers %s:%d, which nobody wrote", sp.name, d.Writer, d.Seq)
			}
			if !sp.visible.past.CoversAll(before) {
				return fmt.Sprintf("%s: covers %s:%d, and not all that it had seen", sp.name, d.Writer, d.Seq)
			}
		}
		return ""
	},
}
