package simnet

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/anabranch-db/anabranch/transport"
)

// frameOverhead is what a frame costs beside its body, for the counters.
const frameOverhead = 4

// pipe is a link with both its ends.
type pipe struct{ dialer, acceptor *link }

func newPipe(from, to *Endpoint) *pipe {
	p := &pipe{newEnd(from, true), newEnd(to, false)}
	p.dialer.other, p.acceptor.other = p.acceptor, p.dialer
	p.dialer.pipe, p.acceptor.pipe = p, p
	return p
}

// breakOff ends both ends at once. The net's mutex is held.
func (p *pipe) breakOff(reason string) {
	for _, l := range []*link{p.dialer, p.acceptor} {
		l.finish(&transport.CloseError{Code: transport.CodeTimeout, Reason: reason})
	}
}

// link is one end. The net's mutex guards what is below the line.
type link struct {
	endpoint *Endpoint
	pipe     *pipe
	other    *link
	dialed   bool
	ended    chan struct{} // closed with end set
	arrived  chan struct{} // holds a token if inbox may have grown
	room     chan struct{} // holds a token if unread may have shrunk

	end    *transport.CloseError
	inbox  [][]byte
	unread int       // bytes sent from here that the other end has not received
	last   time.Time // when the last thing sent from here arrives
	stats  transport.LinkStats
}

var _ transport.Link = (*link)(nil)

func newEnd(e *Endpoint, dialed bool) *link {
	return &link{
		endpoint: e, dialed: dialed,
		ended: make(chan struct{}), arrived: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
}

// Peer implements transport.Link.
func (l *link) Peer() transport.Credential { return l.other.endpoint.self }

// Instance implements transport.Link.
func (l *link) Instance() transport.Instance { return l.other.endpoint.instance }

// Dialed implements transport.Link.
func (l *link) Dialed() bool { return l.dialed }

// RemoteAddr implements transport.Link.
func (l *link) RemoteAddr() string { return l.other.endpoint.addr }

func (l *link) path() path { return path{l.endpoint.addr, l.other.endpoint.addr} }

// Send implements transport.Link.
func (l *link) Send(ctx context.Context, frame []byte) error {
	if len(frame) < 1 || len(frame) > transport.MaxFrameBytes {
		return fmt.Errorf("%w: %d bytes, 1 to %d are allowed", transport.ErrFrameSize, len(frame), transport.MaxFrameBytes)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		sent, err := l.trySend(frame)
		if sent || err != nil {
			return err
		}
		select {
		case <-l.room:
		case <-l.ended:
		case <-ctx.Done():
		}
	}
}

// trySend sends a frame if the window has room: a frame that is larger than
// the window goes alone.
func (l *link) trySend(frame []byte) (bool, error) {
	n := l.endpoint.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.end != nil {
		return false, l.end
	}
	if l.unread > 0 && l.unread+len(frame) > n.options.WindowBytes {
		return false, nil
	}
	l.unread += len(frame)
	body := bytes.Clone(frame)
	at, fate := n.sendFrame(l.path(), l.last, func() { l.other.take(body) })
	l.last = at
	l.stats.FramesSent++
	l.stats.FrameBytesSent += uint64(len(frame))
	l.stats.BytesSent += uint64(len(frame) + frameOverhead)
	signal(l.room) // there may be room for another sender's smaller one
	if fate < n.options.BreakRate {
		l.pipe.breakOff("broken")
		n.sweep()
	}
	return true, nil
}

// take puts an arriving frame into the inbox. The net's mutex is held.
func (l *link) take(frame []byte) {
	if l.end != nil {
		return
	}
	l.inbox = append(l.inbox, frame)
	l.stats.FramesReceived++
	l.stats.FrameBytesReceived += uint64(len(frame))
	l.stats.BytesReceived += uint64(len(frame) + frameOverhead)
	signal(l.arrived)
}

// Receive implements transport.Link.
func (l *link) Receive(ctx context.Context) ([]byte, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		frame, err := l.tryReceive()
		if frame != nil || err != nil {
			return frame, err
		}
		select {
		case <-l.arrived:
		case <-l.ended:
		case <-ctx.Done():
		}
	}
}

func (l *link) tryReceive() ([]byte, error) {
	n := l.endpoint.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.end != nil {
		return nil, l.end
	}
	if len(l.inbox) == 0 {
		return nil, nil
	}
	frame := l.inbox[0]
	l.inbox[0] = nil
	l.inbox = l.inbox[1:]
	l.other.unread -= len(frame)
	signal(l.other.room)
	return frame, nil
}

// Close implements transport.Link.
func (l *link) Close(code transport.Code, reason string) error {
	n := l.endpoint.net
	n.mu.Lock()
	defer n.mu.Unlock()
	l.shut(code, reason)
	n.sweep()
	return nil
}

// shut ends this end now, and the other when it hears of it. The net's mutex
// is held.
func (l *link) shut(code transport.Code, reason string) {
	if l.end != nil {
		return
	}
	l.finish(&transport.CloseError{Code: code, Reason: reason})
	if l.other.end != nil {
		return
	}
	n := l.endpoint.net
	n.sendFrame(l.path(), l.last, func() {
		l.other.finish(&transport.CloseError{Code: code, Remote: true, Reason: reason})
		n.sweep()
	})
}

// finish ends this end. What is unread is lost, as it is in QUIC.
func (l *link) finish(why *transport.CloseError) {
	if l.end != nil {
		return
	}
	l.end, l.inbox = why, nil
	close(l.ended)
}

// Stats implements transport.Link.
func (l *link) Stats() transport.LinkStats {
	l.endpoint.net.mu.Lock()
	defer l.endpoint.net.mu.Unlock()
	s := l.stats
	s.RTT = 2 * l.endpoint.net.options.Latency
	return s
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
