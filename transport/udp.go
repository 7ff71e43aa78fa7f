package transport

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

// socket is a UDP socket that a link survives on. It is a *net.UDPConn to
// quic-go, with its batches, segmentation offload (GSO) and congestion marks
// (ECN), but for three things.
//
// An unreachable network is a lost packet. quic-go ends a connection at the
// first ENETUNREACH, while a device that changes networks has a second without
// a route every time. QUIC repeats what was lost, and gives up by its timers.
//
// Nothing is logged. quic-go writes to the standard logger when the kernel
// grants smaller buffers than it asked for, having looked at them through
// SyscallConn; it looks only if that works before the sizes are set. Larger
// ones make bulk faster: net.core.rmem_max and wmem_max of 7500000.
//
// And who is kept out is not heard (ReadBatch).
type socket struct {
	udpConn
	batch       *ipv4.PacketConn
	read, write atomic.Bool               // that the buffers were set
	penalties   atomic.Pointer[penalties] // nil: nobody is kept out
}

// udpConn is what quic-go uses of a *net.UDPConn.
type udpConn interface {
	net.Conn
	quic.OOBCapablePacketConn
	SetWriteBuffer(int) error
}

// listenUDP opens the socket at addr, host:port.
func listenUDP(addr string) (*socket, error) {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen at %q: %w", addr, err)
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		return nil, fmt.Errorf("listen at %q: %w", addr, err)
	}
	return newSocket(conn), nil
}

func newSocket(conn udpConn) *socket {
	return &socket{udpConn: conn, batch: ipv4.NewPacketConn(conn)}
}

// sturdy makes a socket of a bare UDP connection. Of anything else quic-go
// must not complain either.
func sturdy(conn net.PacketConn) net.PacketConn {
	switch c := conn.(type) {
	case *socket:
		return conn
	case udpConn:
		return newSocket(c)
	}
	return unsized{conn}
}

// unsized is a packet network without buffers to set.
type unsized struct{ net.PacketConn }

func (unsized) SetReadBuffer(int) error  { return nil }
func (unsized) SetWriteBuffer(int) error { return nil }

var errNotSized = errors.New("the socket's buffers are not set yet")

// SyscallConn is what quic-go reaches the socket's options through.
func (s *socket) SyscallConn() (syscall.RawConn, error) {
	if !s.read.Load() || !s.write.Load() {
		return nil, errNotSized
	}
	return s.udpConn.SyscallConn()
}

// SetReadBuffer asks for a buffer of n bytes and takes what it gets.
func (s *socket) SetReadBuffer(n int) error {
	s.read.Store(true)
	forceBuffer(s.udpConn, n, receiveBuffer)
	return nil
}

// SetWriteBuffer asks for a buffer of n bytes and takes what it gets.
func (s *socket) SetWriteBuffer(n int) error {
	s.write.Store(true)
	forceBuffer(s.udpConn, n, sendBuffer)
	return nil
}

// WriteMsgUDP sends one packet, or a batch of them.
func (s *socket) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	n, oobn, err = s.udpConn.WriteMsgUDP(b, oob, to)
	if unreachable(err) {
		return len(b), len(oob), nil
	}
	return n, oobn, err
}

// passing are the errors that say that this packet did not go out, and nothing
// about the next one: no route, no link, no address, a full queue, and a
// firewall that drops.
var passing = []syscall.Errno{
	syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN,
	syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ECONNREFUSED, syscall.EPERM, syscall.EACCES,
}

func unreachable(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains(passing, errno)
}
