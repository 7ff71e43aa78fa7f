package transport

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/quic-go/quic-go"
)

// moody is a UDP socket whose network comes and goes.
type moody struct {
	*net.UDPConn
	fault atomic.Pointer[os.SyscallError]
	lost  atomic.Int64
}

func (m *moody) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (int, int, error) {
	if fault := m.fault.Load(); fault != nil {
		m.lost.Add(1)
		return 0, 0, &net.OpError{Op: "write", Net: "udp", Err: fault}
	}
	return m.UDPConn.WriteMsgUDP(b, oob, to)
}

func newMoody(t *testing.T) *moody {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return &moody{UDPConn: conn}
}

// quic-go ends a connection at the first error of a write; the socket makes a
// lost packet of those that pass.
func TestALinkOutlivesAnUnreachableNetwork(t *testing.T) {
	for _, errno := range passing {
		t.Run(errno.Error(), func(t *testing.T) {
			a, err := NewAuthority(nil)
			if err != nil {
				t.Fatal(err)
			}
			open := func(o Options) *QUIC {
				id, err := a.Enroll(nil, AllNamespaces())
				if err != nil {
					t.Fatal(err)
				}
				q, err := Listen(id, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { q.Close() })
				return q
			}
			conn := newMoody(t)
			q, other := open(Options{Conn: conn}), open(Options{Listen: "127.0.0.1:0"})
			from, err := q.Dial(t.Context(), other.Addr())
			if err != nil {
				t.Fatal(err)
			}
			to, err := other.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conn.fault.Store(os.NewSyscallError("sendmsg", errno).(*os.SyscallError))
			if err := from.Send(t.Context(), []byte("later")); err != nil {
				t.Fatal(err)
			}
			for conn.lost.Load() < 2 { // the frame, and a repeat of it
				if _, err := q.transport.WriteTo([]byte{0}, net.UDPAddrFromAddrPort(q.transport.Conn.LocalAddr().(*net.UDPAddr).AddrPort())); err != nil {
					t.Fatal(err)
				}
			}
			conn.fault.Store(nil)
			if frame, err := to.Receive(t.Context()); err != nil || string(frame) != "later" {
				t.Errorf("received %q, %v", frame, err)
			}
		})
	}
}

func TestOtherErrorsOfTheSocketAreKept(t *testing.T) {
	conn := newMoody(t)
	defer conn.Close()
	s := &socket{udpConn: conn}
	for _, errno := range []syscall.Errno{syscall.EMSGSIZE, syscall.EIO, syscall.EINVAL} {
		conn.fault.Store(os.NewSyscallError("sendmsg", errno).(*os.SyscallError))
		if _, _, err := s.WriteMsgUDP([]byte("x"), nil, conn.LocalAddr().(*net.UDPAddr)); !errors.Is(err, errno) {
			t.Errorf("%v became %v", errno, err)
		}
	}
}

// The real thing, where the test's machine has no route there.
func TestAPacketWithoutARouteIsLost(t *testing.T) {
	raw, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	nowhere := &net.UDPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 9} // RFC 5737: documentation
	if _, _, err := raw.WriteMsgUDP([]byte("x"), nil, nowhere); err == nil || !unreachable(err) {
		t.Skipf("a socket bound to loopback can send to %v here: %v", nowhere, err)
	}
	if _, _, err := (&socket{udpConn: raw}).WriteMsgUDP([]byte("x"), nil, nowhere); err != nil {
		t.Error(err)
	}
}

// What quic-go looks for in a socket is what makes it fast.
func TestTheSocketKeepsItsOffloads(t *testing.T) {
	a, err := NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Enroll(nil, AllNamespaces())
	if err != nil {
		t.Fatal(err)
	}
	q, err := Listen(id, Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	plain, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := listenUDP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := gso(t, wrapped, q), gso(t, plain, q); got != want {
		t.Errorf("GSO is %v, and %v on a bare socket", got, want)
	}
}

// gso tells whether a connection over conn uses segmentation offload.
func gso(t *testing.T, conn net.PacketConn, to *QUIC) bool {
	t.Helper()
	tr := &quic.Transport{Conn: conn}
	defer conn.Close()
	defer tr.Close()
	c, err := tr.Dial(t.Context(), to.transport.Conn.LocalAddr(), to.dialTLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().GSO
}
