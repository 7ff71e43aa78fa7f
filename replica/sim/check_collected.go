package sim

import (
	"bytes"
	"fmt"
)

// collected wants that a collection leaves no removal that all have, and changes
// nothing that can be read.
var collected = checker{
	name: "collected",
	settled: func(w *world, n *Node) string {
		for _, sp := range n.spaces {
			before := sp.visible.bytes()
			sp.collect(sp.durable.past, 0)
			if !bytes.Equal(before, sp.visible.bytes()) {
				return sp.name + ": a collection changed what can be read"
			}
			for _, e := range sp.visible.entries {
				for _, ev := range e.Record {
					if ev.Removed {
						return fmt.Sprintf("%s: key %q keeps a removal that all have", sp.name, string(e.Key))
					}
				}
			}
		}
		return ""
	},
}
