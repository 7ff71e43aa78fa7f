package simnet

import (
	"bytes"
	"net"
	"os"
	"sync"
	"time"
)

// packet is one that has arrived.
type packet struct {
	from *net.UDPAddr
	body []byte
}

// socket is a net.PacketConn at one address of a Net. Packets to addresses
// where nobody listens, and what does not fit the buffer, are lost without a
// word, as on the Internet.
type socket struct {
	net      *Net
	addr     *net.UDPAddr // guarded by the net's mutex
	received chan packet
	closed   chan struct{}

	mu       sync.Mutex
	deadline chan struct{} // closed when reads are to return
	timer    *time.Timer   // that will close it
}

var _ net.PacketConn = (*socket)(nil)

func newSocket(n *Net, addr *net.UDPAddr) *socket {
	return &socket{
		net: n, addr: addr, received: make(chan packet, maxPackets),
		closed: make(chan struct{}), deadline: make(chan struct{}),
	}
}

// WriteTo implements net.PacketConn.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[s.addr.String()] != s {
		return 0, net.ErrClosed
	}
	p := packet{s.addr, bytes.Clone(b)}
	lost := false
	fate := n.sendPacket(path{s.addr.String(), to.String()}, func() {
		other := n.sockets[to.String()]
		if lost || other == nil || n.cuts[pairOf(s.addr.String(), to.String())] {
			return
		}
		select {
		case other.received <- p:
		default: // the buffer is full
		}
	})
	lost = fate < n.options.Loss
	return len(b), nil
}

// ReadFrom implements net.PacketConn.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	s.mu.Lock()
	deadline := s.deadline
	s.mu.Unlock()
	select { // the deadline first, even if there is something to read
	case <-deadline:
		return 0, nil, os.ErrDeadlineExceeded
	default:
	}
	select {
	case p := <-s.received:
		return copy(b, p.body), p.from, nil
	case <-deadline:
		return 0, nil, os.ErrDeadlineExceeded
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

// SetReadDeadline implements net.PacketConn. It interrupts a read that waits.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	select {
	case <-s.deadline: // it has passed; start anew
		s.deadline = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return nil
	}
	passed := s.deadline
	if wait := time.Until(t); wait > 0 {
		s.timer = time.AfterFunc(wait, func() { s.pass(passed) })
		return nil
	}
	close(passed)
	return nil
}

// pass closes a deadline, unless another one has taken its place.
func (s *socket) pass(deadline chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline == deadline && s.timer != nil {
		s.timer = nil
		close(deadline)
	}
}

// SetWriteDeadline implements net.PacketConn. Writing does not block.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.PacketConn.
func (s *socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetReadBuffer lets quic-go find what it looks for, and logs about otherwise.
func (s *socket) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does so as well.
func (s *socket) SetWriteBuffer(int) error { return nil }

// LocalAddr implements net.PacketConn.
func (s *socket) LocalAddr() net.Addr {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	return s.addr
}

// Close implements net.PacketConn.
func (s *socket) Close() error {
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[s.addr.String()] != s {
		return nil
	}
	delete(n.sockets, s.addr.String())
	s.shut()
	return nil
}

// shut ends reads. The net's mutex is held.
func (s *socket) shut() { close(s.closed) }
