package sim

import "fmt"

// lasting wants that what was acknowledged is covered everywhere in the end:
// written to a disk that was not lost, nothing is lost.
var lasting = checker{
	name: "lasting",
	settled: func(w *world, n *Node) string {
		for _, sp := range n.spaces {
			if !n.holds(sp.name) {
				continue
			}
			if lost := sp.visible.past.Expand().Behind(w.ledger.of(sp.name).acked); len(lost) > 0 {
				return fmt.Sprintf("%s: %s:%d was acknowledged, and is lost", sp.name, lost[0].Writer, lost[0].Seq)
			}
		}
		return ""
	},
}
