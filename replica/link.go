package replica

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

// linkBudgetBytes bounds what was received on one link and is not applied
// yet, where the profile sets no other bound: the greatest frame while another
// one is worked on.
const linkBudgetBytes = 2 * transport.MaxFrameBytes

// link is one link of the mesh: a goroutine that receives, and one that sends
// while there is something to send.
type link struct {
	mesh     *mesh
	id       protocol.LinkID
	conn     transport.Link
	peer     crdt.NodeID
	instance transport.Instance
	since    time.Time
	silence  silence
	seenAs   atomic.Pointer[string] // where the peer sees this node

	ctx    context.Context // ends with the link
	cancel context.CancelFunc
	budget *semaphore.Weighted // of the mesh's linkBytes
	outlet *outlet
	metering
	offers offers
	done   chan struct{} // closed when the link is forgotten
	cause  error         // why it ended, once done is closed
}

func newLink(m *mesh, id protocol.LinkID, conn transport.Link) *link {
	l := &link{
		mesh: m, id: id, conn: conn, peer: conn.Peer().Node, instance: conn.Instance(), since: time.Now(),
		budget: semaphore.NewWeighted(m.linkBytes),
		done:   make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(m.ctx)
	l.counted = make(chan uint64, 1)
	l.counted <- 0
	l.outlet = newOutlet(conn, func(at protocol.Lane) { m.inbox.post(protocol.Flushed{Link: id, Lane: at}) })
	l.outlet.counted = func() { m.charge(l) }
	return l
}

// weight is what a frame takes of the budget: one that is greater than all of it
// waits until it is alone.
func (l *link) weight(frame []byte) int64 { return min(int64(len(frame)), l.mesh.linkBytes) }

// start begins to receive and to send.
func (l *link) start() {
	l.mesh.running.Go(l.receive)
	l.outlet.begin(func() {
		l.mesh.crew.do(func() {
			if err := l.outlet.run(l.ctx); err != nil {
				// Closed like this the link ends for the receiver as well.
				_ = l.conn.Close(transport.CodeGoingAway, err.Error())
			}
		})
	})
}

// receive posts frames until the link ends. While too much of what came is
// not applied yet it receives no more, and the peer's sends block.
func (l *link) receive() {
	defer close(l.done)
	defer l.mesh.inbox.post(protocol.LinkDown{Link: l.id})
	defer l.mesh.detach(l)
	defer l.offers.endAll()
	defer l.cancel()
	defer l.outlet.stop() // while running counts this one
	for {
		var frame []byte
		if frame, l.cause = l.conn.Receive(l.ctx); l.cause != nil {
			break
		}
		if l.cause = l.budget.Acquire(l.ctx, l.weight(frame)); l.cause != nil {
			break
		}
		l.heard()
		l.mesh.charge(l)
		l.mesh.inbox.post(protocol.Received{Link: l.id, Frame: frame})
	}
	_ = l.conn.Close(transport.CodeGoingAway, "")
}
