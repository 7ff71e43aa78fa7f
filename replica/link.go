package replica

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

// linkBudgetBytes bounds what was received on one link and is not applied
// yet: the greatest frame while another one is worked on.
const linkBudgetBytes = 2 * transport.MaxFrameBytes

// link is one link of the mesh: a goroutine that receives, one that sends.
type link struct {
	mesh  *mesh
	id    protocol.LinkID
	conn  transport.Link
	peer  crdt.NodeID
	since time.Time

	ctx    context.Context // ends with the link
	cancel context.CancelFunc
	budget *semaphore.Weighted
	outlet *outlet
	done   chan struct{} // closed when the link is forgotten
	cause  error         // why it ended, once done is closed
}

func newLink(m *mesh, id protocol.LinkID, conn transport.Link) *link {
	l := &link{
		mesh: m, id: id, conn: conn, peer: conn.Peer().Node, since: time.Now(),
		budget: semaphore.NewWeighted(linkBudgetBytes),
		done:   make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(m.ctx)
	l.outlet = newOutlet(l)
	return l
}

// start begins to receive and to send.
func (l *link) start() {
	l.mesh.running.Go(l.receive)
	l.mesh.running.Go(l.outlet.run)
}

// receive posts frames until the link ends. While too much of what came is
// not applied yet it receives no more, and the peer's sends block.
func (l *link) receive() {
	defer close(l.done)
	defer l.mesh.inbox.post(protocol.LinkDown{Link: l.id})
	defer l.mesh.detach(l)
	defer l.cancel()
	for {
		var frame []byte
		if frame, l.cause = l.conn.Receive(l.ctx); l.cause != nil {
			break
		}
		if l.cause = l.budget.Acquire(l.ctx, int64(len(frame))); l.cause != nil {
			break
		}
		l.mesh.inbox.post(protocol.Received{Link: l.id, Frame: frame})
	}
	_ = l.conn.Close(transport.CodeGoingAway, "")
}

// maxQueuedBytes bounds what waits to be sent on one link beside deltas. The
// machine holds announcements back while anything waits, so a peer that gets
// there has stopped reading in the middle of an exchange of vectors.
const maxQueuedBytes = 16 << 20

// outlet sends a link's frames, numbered in the order in which they go out:
// those queued first, and while there are none, those of deltas.
type outlet struct {
	link    *link
	stamper protocol.Stamper
	ready   chan struct{} // of capacity 1: something is queued
	bulk    chan protocol.Frame

	mu     sync.Mutex
	queued []protocol.Frame
	bytes  int
}

func newOutlet(l *link) *outlet {
	return &outlet{link: l, ready: make(chan struct{}, 1), bulk: make(chan protocol.Frame)}
}

// queue has f sent after all that was queued before. It never blocks: a peer
// that lets too much pile up loses the link.
func (o *outlet) queue(f protocol.Frame) {
	o.mu.Lock()
	o.queued = append(o.queued, f)
	o.bytes += f.Len()
	full := o.bytes > maxQueuedBytes
	o.mu.Unlock()
	if full {
		_ = o.link.conn.Close(transport.CodeBusy, "the peer does not read")
		return
	}
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// send has f sent after all that is queued, and blocks until it is taken.
func (o *outlet) send(ctx context.Context, f protocol.Frame) error {
	select {
	case o.bulk <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run sends until the link ends.
func (o *outlet) run() {
	defer o.link.cancel()
	for {
		var err error
		select {
		case <-o.ready:
			err = o.sendQueued()
		case f := <-o.bulk:
			// What was queued before f must go ahead of it.
			if err = o.sendQueued(); err == nil {
				err = o.transmit(f)
			}
		case <-o.link.ctx.Done():
			return
		}
		if err != nil {
			return // and with the context ends the receiver, which closes the link
		}
	}
}

// sendQueued sends all that is queued, and tells the machine when it ran
// empty.
func (o *outlet) sendQueued() error {
	for sent := false; ; sent = true {
		o.mu.Lock()
		frames := o.queued
		o.queued, o.bytes = nil, 0
		o.mu.Unlock()
		if len(frames) == 0 {
			if sent {
				o.link.mesh.inbox.post(protocol.Flushed{Link: o.link.id})
			}
			return nil
		}
		for _, f := range frames {
			if err := o.transmit(f); err != nil {
				return err
			}
		}
	}
}

func (o *outlet) transmit(f protocol.Frame) error {
	return o.link.conn.Send(o.link.ctx, o.stamper.Stamp(f))
}
