package sim

import "fmt"

// bounds wants that what waits in a node is bounded by its links and
// namespaces, whatever its peers do.
var bounds = checker{
	name: "bounds",
	node: func(_ *world, n *Node) string {
		most := 2 * len(n.ends) * len(n.spaces)
		builds, offers := 0, 0
		for _, b := range n.builds {
			if !b.cancelled && !b.space.closed && n.endOf(b.Link) != nil { // else it is about to end
				builds++
			}
		}
		for _, o := range n.offers {
			if !o.space.closed {
				offers++
			}
		}
		if builds > most || offers > most {
			return fmt.Sprintf("%d deltas are built and %d snapshots kept, with %d links", builds, offers, len(n.ends))
		}
		for _, q := range n.queues {
			if len(q.tasks) > maxWaiting {
				return fmt.Sprintf("%d frames of a link wait", len(q.tasks))
			}
		}
		for _, e := range n.ends {
			for _, lane := range e.lanes {
				if len(lane) > maxWaiting {
					return fmt.Sprintf("%d frames wait to be sent to %s", len(lane), e.far.node.name)
				}
			}
		}
		return ""
	},
	settled: func(_ *world, n *Node) string {
		for _, o := range n.offers {
			if o.space.closed {
				return "a snapshot is kept of " + o.space.name + ", which was dropped"
			}
		}
		return ""
	},
}

// maxWaiting is how many frames may wait at one place: a machine lets what it
// tells coalesce, and asks for one delta at a time.
const maxWaiting = 256
