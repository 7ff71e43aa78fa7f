package sim

import (
	"fmt"

	"github.com/anabranch-db/anabranch/replica/protocol"
)

// bounds wants that what a node keeps is bounded by its links and namespaces, and
// by the writers that there are, whatever its peers do.
var bounds = checker{
	name: "bounds",
	node: func(w *world, n *Node) string {
		if what := machineBounds(w, n); what != "" {
			return what
		}
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
		switch l := n.machine.Load(); {
		case l.Jobs > 0:
			return fmt.Sprintf("%d jobs are under way, and there is nothing to be done", l.Jobs)
		case l.Held > 0 || l.HeldBytes > 0:
			return fmt.Sprintf("%d frames of %d bytes wait, and nothing is to come", l.Held, l.HeldBytes)
		}
		return ""
	},
}

const (
	// maxWaiting is how many frames may wait at one place: a machine lets what it
	// tells coalesce, and asks for one delta at a time.
	maxWaiting = 256
	// jobsPerSession is how many jobs a machine may have for a namespace on a link:
	// a delta that is built and one that comes, one that was cancelled and has not
	// ended, compares on both sides, a digest, records of writers that are learned.
	jobsPerSession = 8
	// heldFrameBytes is what a frame that waits is to be counted as at the least:
	// what it is kept with takes that. A thousand of 50 bytes took 107 MB once.
	heldFrameBytes = 512
	// vectorsPerSession is how many vectors a machine keeps for a namespace on a
	// link: of what each end told, what is missing, floors. toldSlack is by how many
	// entries one of what was told may exceed twice what there is.
	vectorsPerSession = 6
	toldSlack         = 64
)

// machineBounds checks what the protocol's machine keeps.
func machineBounds(w *world, n *Node) string {
	l := n.machine.Load()
	writers := len(w.ledger.last)
	switch {
	case l.Links > len(n.ends):
		return fmt.Sprintf("%d links are kept of %d", l.Links, len(n.ends))
	case l.Sessions > l.Links*len(w.names):
		return fmt.Sprintf("%d namespaces are kept on %d links", l.Sessions, l.Links)
	case l.Jobs > jobsPerSession*(len(n.ends)+1)*len(w.names)+maxWaiting:
		return fmt.Sprintf("%d jobs with %d links", l.Jobs, l.Links)
	case l.HeldBytes > protocol.MaxHeldBytes || l.HeldBytes < heldFrameBytes*l.Held:
		return fmt.Sprintf("%d frames that wait count as %d bytes", l.Held, l.HeldBytes)
	case l.Entries > l.Sessions*vectorsPerSession*(2*writers+toldSlack):
		return fmt.Sprintf("%d entries of vectors on %d links, of %d writers", l.Entries, l.Links, writers)
	case l.Introduced > l.Sessions*writers:
		return fmt.Sprintf("%d writers were introduced on %d links, of %d", l.Introduced, l.Links, writers)
	}
	return ""
}
