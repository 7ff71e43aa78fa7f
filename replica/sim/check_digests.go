package sim

import "bytes"

// digests wants that nodes which cover the same hold the same, byte for byte. Of
// what rotted readers may hold more than those take from them who may write.
var digests = checker{
	name: "digests",
	settled: func(w *world, n *Node) string {
		for _, sp := range n.spaces {
			if sp.reads() && w.rots(sp.name) {
				continue
			}
			for _, o := range w.holders(sp.name) {
				alike := sp.visible.past.Expand().Equal(o.visible.past.Expand())
				if alike && !(o.reads() && w.rots(sp.name)) && !bytes.Equal(sp.visible.bytes(), o.visible.bytes()) {
					return sp.name + ": other bytes than " + o.node.name + ", with equal vectors"
				}
			}
		}
		return ""
	},
}
