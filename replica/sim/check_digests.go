package sim

import "bytes"

// digests wants that nodes which cover the same hold the same, byte for byte.
var digests = checker{
	name: "digests",
	settled: func(w *world, n *Node) string {
		for _, sp := range n.spaces {
			if !bytes.Equal(sp.visible.bytes(), w.nodes[0].space(sp.name).visible.bytes()) {
				return sp.name + ": other bytes than " + w.nodes[0].name + ", with equal vectors"
			}
		}
		return ""
	},
}
