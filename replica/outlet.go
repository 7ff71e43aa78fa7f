package replica

import (
	"context"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

const (
	// maxQueuedBytes bounds what waits to be sent on one link beside deltas.
	// The machine holds announcements back while anything waits, so a peer
	// that gets there has stopped reading in the middle of an exchange of
	// vectors.
	maxQueuedBytes = 16 << 20
	// frameMemory is about what a frame that waits takes beside its bytes: its
	// place in a queue that has doubled, and the room that its buffer has left.
	frameMemory = 192
	// deltaPlaces bounds the frames of deltas that wait to be sent on one lane:
	// one is built while another one goes out.
	deltaPlaces = 2
	// stallTimeout is how long a peer may take to make room for one frame. Who
	// reads more slowly than 256 KiB in that time loses the link, and with it
	// what is held for a delta: places, and a snapshot, which keeps disk space.
	stallTimeout = 2 * time.Minute
)

// outlet sends a link's frames, numbered, those of a lane in exactly the order
// in which they were handed in, those of an earlier lane first. The protocol
// rests on the order within a lane: what the machine announces once a delta is
// built must not overtake the delta's last frame, which would tell of more than
// the delta holds.
type outlet struct {
	conn    transport.Link
	flushed func(protocol.Lane) // called when the frames of queue have gone out
	counted func()              // called when a frame has gone out; may be nil
	stamper protocol.Stamper

	mu    sync.Mutex
	lanes [protocol.Lanes]lane
	bytes int // of frames and frameMemory for each, without deltas
	// start has run called on a goroutine; nil: not yet, or no more. A link on
	// which nothing is to be said has none.
	start   func()
	running bool // or it has failed, for good
}

// lane is a queue of frames. The outlet's mutex guards what is below the line.
type lane struct {
	places chan struct{} // taken by frames of deltas

	frames []outFrame
	queued int // how many of them are not of deltas
}

type outFrame struct {
	protocol.Frame
	rest  []byte // of the frame; others may refer to it as well
	delta bool
	bytes int // that it counts for, unless it is of a delta
	// load returns the frames that go out in this one's place; nil: itself does.
	load func() ([]protocol.Frame, error)
}

func newOutlet(conn transport.Link, flushed func(protocol.Lane)) *outlet {
	o := &outlet{conn: conn, flushed: flushed}
	for i := range o.lanes {
		o.lanes[i].places = make(chan struct{}, deltaPlaces)
	}
	return o
}

// begin has start called whenever run is to be, until stop.
func (o *outlet) begin(start func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.start = start
	for i := range o.lanes {
		if len(o.lanes[i].frames) > 0 {
			o.wake()
		}
	}
}

// stop has run called no more.
func (o *outlet) stop() { o.begin(nil) }

// queue hands a frame in. It never blocks: a peer that lets too much pile up
// loses the link.
func (o *outlet) queue(at protocol.Lane, f protocol.Frame) {
	o.push(at, outFrame{Frame: f, bytes: f.Len() + frameMemory})
}

// queueLoad has the frames that load returns go out in their place. It is called
// once they are due, by who sends; until then they count for so many bytes. An
// error ends the sending.
func (o *outlet) queueLoad(at protocol.Lane, bytes int, load func() ([]protocol.Frame, error)) {
	o.push(at, outFrame{load: load, bytes: bytes + frameMemory})
}

func (o *outlet) push(at protocol.Lane, f outFrame) {
	o.mu.Lock()
	l := &o.lanes[at]
	l.frames = append(l.frames, f)
	l.queued++
	o.bytes += f.bytes
	full := o.bytes > maxQueuedBytes
	o.wake()
	o.mu.Unlock()
	if full {
		_ = o.conn.Close(transport.CodeBusy, "the peer does not read")
	}
}

// send hands a frame of a delta in, of which rest is the end, and blocks while
// others of them wait on the lane.
func (o *outlet) send(ctx context.Context, at protocol.Lane, f protocol.Frame, rest []byte) error {
	l := &o.lanes[at]
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	o.mu.Lock()
	l.frames = append(l.frames, outFrame{Frame: f, rest: rest, delta: true})
	o.wake()
	o.mu.Unlock()
	return nil
}

// wake has run called, unless it runs. The caller holds mu.
func (o *outlet) wake() {
	if !o.running && o.start != nil {
		o.running = true
		o.start()
	}
}

// run sends what there is, and returns nil then; or why it failed, or ctx ended.
func (o *outlet) run(ctx context.Context) error {
	stalled := time.AfterFunc(stallTimeout, func() {
		_ = o.conn.Close(transport.CodeBusy, "the peer does not read")
	})
	defer stalled.Stop()
	for {
		stalled.Stop()
		f, at, ok := o.next()
		if !ok {
			return nil
		}
		if f.load != nil {
			if err := o.expand(at, f); err != nil {
				return err
			}
			continue
		}
		stalled.Reset(stallTimeout)
		if err := o.conn.Send(ctx, o.stamper.Stamp(f.Frame, f.rest...)); err != nil {
			return err
		}
		if o.counted != nil {
			o.counted()
		}
		if f.delta {
			<-o.lanes[at].places
		} else {
			o.sent(at, f)
		}
	}
}

// expand puts the frames that f stands for ahead of all on its lane.
func (o *outlet) expand(at protocol.Lane, f outFrame) error {
	loaded, err := f.load()
	if err != nil {
		return err
	}
	o.mu.Lock()
	l := &o.lanes[at]
	frames := make([]outFrame, 0, len(loaded)+len(l.frames))
	for _, f := range loaded {
		one := outFrame{Frame: f, bytes: f.Len() + frameMemory}
		frames = append(frames, one)
		o.bytes += one.bytes
	}
	l.frames = append(frames, l.frames...)
	l.queued += len(loaded)
	o.mu.Unlock()
	o.sent(at, f)
	return nil
}

// next takes the frame that is next. If there is none, run is over.
func (o *outlet) next() (f outFrame, at protocol.Lane, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.lanes {
		if l := &o.lanes[i]; len(l.frames) > 0 {
			f = l.frames[0]
			l.frames[0] = outFrame{}
			if l.frames = l.frames[1:]; len(l.frames) == 0 {
				l.frames = nil
			}
			return f, protocol.Lane(i), true
		}
	}
	o.running = false
	return f, at, false
}

// sent counts a frame out, and says so if no other waits on its lane that is not
// of a delta.
func (o *outlet) sent(at protocol.Lane, f outFrame) {
	o.mu.Lock()
	o.bytes -= f.bytes
	o.lanes[at].queued--
	last := o.lanes[at].queued == 0
	o.mu.Unlock()
	if last {
		o.flushed(at)
	}
}
