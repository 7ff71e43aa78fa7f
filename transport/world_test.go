package transport_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// patience bounds every wait of a test that could fail by hanging. It is
// longer than every timeout but the idle one.
const patience = 40 * time.Second

// world is a cluster to test in: on loopback, or on a simulated packet network
// in fake time.
type world struct {
	t         testing.TB
	authority *transport.Authority
	revoked   transport.Revocations
	net       *simnet.Net // nil: loopback
	hosts     int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	a, err := transport.NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, authority: a}
}

// bubble runs a test in fake time on a simulated packet network. At its end
// every goroutine that it started must have ended as well, or it fails.
func bubble(t *testing.T, o simnet.Options, run func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if o.Latency == 0 {
			o.Latency = 10 * time.Millisecond
		}
		w.net = simnet.New(o)
		t.Cleanup(func() { w.net.Close() })
		run(t, w)
	})
}

func (w *world) identity() *transport.Identity {
	w.t.Helper()
	return w.enroll(newKey(w.t))
}

func (w *world) enroll(key ed25519.PrivateKey) *transport.Identity {
	w.t.Helper()
	id, err := w.authority.Enroll(key, transport.AllNamespaces())
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	key, err := transport.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// node opens a network for a new member, and closes it at the end of the
// test.
func (w *world) node(o transport.Options) *transport.QUIC {
	w.t.Helper()
	return w.open(w.identity(), o)
}

// open opens a network for an identity.
func (w *world) open(id *transport.Identity, o transport.Options) *transport.QUIC {
	w.t.Helper()
	if o.Revoked == nil {
		o.Revoked = w.revoked.Revoked
	}
	switch {
	case w.net == nil && o.Listen == "":
		o.Listen = "127.0.0.1:0"
	case w.net != nil && o.Conn == nil:
		o.Conn = w.socket(o.Listen)
	}
	q, err := transport.Listen(id, o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { closeNetwork(w.t, q) })
	return q
}

// socket opens a simulated one, at a new address if none is given.
func (w *world) socket(addr string) net.PacketConn {
	w.t.Helper()
	if addr == "" {
		w.hosts++
		addr = fmt.Sprintf("10.0.%d.%d:1", w.hosts/250, 1+w.hosts%250)
	}
	conn, err := w.net.ListenPacket(addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func closeNetwork(t testing.TB, n transport.Network) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// revoke ends a node's membership, as every node of the world sees it.
func (w *world) revoke(node crdt.NodeID) {
	w.revoked.Add(w.authority.Revoke(node, time.Unix(1000, 0)))
}

// soon returns a context that ends what hangs.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// link dials from one network to another and returns both ends.
func link(t testing.TB, from, to transport.Network) (dialed, accepted transport.Link) {
	t.Helper()
	dialed, err := from.Dial(soon(t), to.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return dialed, accept(t, to)
}

func accept(t testing.TB, n transport.Network) transport.Link {
	t.Helper()
	l, err := n.Accept(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func send(t testing.TB, l transport.Link, frame string) {
	t.Helper()
	if err := l.Send(soon(t), []byte(frame)); err != nil {
		t.Error(err)
	}
}

func receive(t testing.TB, l transport.Link) string {
	t.Helper()
	frame, err := l.Receive(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(frame)
}

// exchange proves that a link is up in both directions.
func exchange(t testing.TB, a, b transport.Link) {
	t.Helper()
	send(t, a, "ping")
	if got := receive(t, b); got != "ping" {
		t.Fatalf("received %q", got)
	}
	send(t, b, "pong")
	if got := receive(t, a); got != "pong" {
		t.Fatalf("received %q", got)
	}
}

// wantEnd waits for the end of a link and checks how it ended.
func wantEnd(t testing.TB, l transport.Link, code transport.Code, remote bool) *transport.CloseError {
	t.Helper()
	end := endOf(t, l)
	if end.Code != code || end.Remote != remote {
		t.Fatalf("the link ended with %v, want code %v, remote %v", end, code, remote)
	}
	return end
}

// endOf waits for the end of a link.
func endOf(t testing.TB, l transport.Link) *transport.CloseError {
	t.Helper()
	for {
		_, err := l.Receive(soon(t))
		if err == nil {
			continue
		}
		var end *transport.CloseError
		if !errors.As(err, &end) {
			t.Fatalf("the link ended with %v, which is no close", err)
		}
		return end
	}
}

func wantError(t testing.TB, err error, wants ...error) {
	t.Helper()
	for _, want := range wants {
		if !errors.Is(err, want) {
			t.Errorf("got error %v, want %v", err, want)
		}
	}
}

func udpAddr(t testing.TB, addr string) *net.UDPAddr {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
