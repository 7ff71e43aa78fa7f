package sim

import "fmt"

// links wants that in the end the machines at both ends of a link know of each
// other that they have the same, and wait for nothing. A link of which one end is
// gone and the other has not heard of it yet is none, nor is one that failed its
// promise and is about to end.
var links = checker{
	name: "links",
	settled: func(w *world, n *Node) string {
		for _, l := range n.machine.Links() {
			if e := n.endOf(l.Link); e == nil || e.link.forged || e.far.down || !e.far.up || e.far.run != e.far.node.run {
				continue
			}
			for _, s := range l.Namespaces {
				if !s.Here || !s.There || w.someReads(n, l.Peer, s.Namespace) {
					continue
				}
				if !s.Met || s.PeerLacks > 0 || s.Lacking > 0 || s.Sending || s.Fetching {
					return fmt.Sprintf("%s on link %d: all have the same, and it shows %+v", s.Namespace, l.Link, s)
				}
			}
		}
		return ""
	},
}
