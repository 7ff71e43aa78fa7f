package replica

import (
	"context"
	"sync"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

const (
	// maxQueuedBytes bounds what waits to be sent on one link beside deltas.
	// The machine holds announcements back while anything waits, so a peer
	// that gets there has stopped reading in the middle of an exchange of
	// vectors.
	maxQueuedBytes = 16 << 20
	// deltaPlaces bounds the frames of deltas that wait to be sent on one
	// link: one is built while another one goes out.
	deltaPlaces = 2
)

// outlet sends a link's frames, numbered, in exactly the order in which they
// were handed in. The protocol rests on that: what the machine announces once
// a delta is built must not overtake the delta's last frame, which would tell
// of more than the delta holds.
type outlet struct {
	conn    transport.Link
	flushed func() // called when the frames of queue have gone out
	stamper protocol.Stamper
	ready   chan struct{} // of capacity 1: something waits
	places  chan struct{} // taken by frames of deltas

	mu     sync.Mutex
	frames []outFrame
	bytes  int // of frames, without deltas
}

type outFrame struct {
	protocol.Frame
	rest  []byte // of the frame; others may refer to it as well
	delta bool
}

func newOutlet(conn transport.Link, flushed func()) *outlet {
	return &outlet{
		conn: conn, flushed: flushed,
		ready: make(chan struct{}, 1), places: make(chan struct{}, deltaPlaces),
	}
}

// queue hands a frame in. It never blocks: a peer that lets too much pile up
// loses the link.
func (o *outlet) queue(f protocol.Frame) {
	o.mu.Lock()
	o.frames = append(o.frames, outFrame{Frame: f})
	o.bytes += f.Len()
	full := o.bytes > maxQueuedBytes
	o.mu.Unlock()
	if full {
		_ = o.conn.Close(transport.CodeBusy, "the peer does not read")
	}
	o.wake()
}

// send hands a frame of a delta in, of which rest is the end, and blocks while
// others of them wait.
func (o *outlet) send(ctx context.Context, f protocol.Frame, rest []byte) error {
	select {
	case o.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	o.mu.Lock()
	o.frames = append(o.frames, outFrame{f, rest, true})
	o.mu.Unlock()
	o.wake()
	return nil
}

func (o *outlet) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// run sends until ctx ends or sending fails, and returns why.
func (o *outlet) run(ctx context.Context) error {
	for {
		select {
		case <-o.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		o.mu.Lock()
		frames := o.frames
		o.frames, o.bytes = nil, 0
		o.mu.Unlock()
		announced := false
		for _, f := range frames {
			if err := o.conn.Send(ctx, o.stamper.Stamp(f.Frame, f.rest...)); err != nil {
				return err
			}
			if f.delta {
				<-o.places
			} else {
				announced = true
			}
		}
		o.mu.Lock()
		empty := o.bytes == 0
		o.mu.Unlock()
		if announced && empty {
			o.flushed()
		}
	}
}
