package transport

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/quic-go/quic-go"
)

// admission bounds the connections that others open: all of them, and the
// ones that have not become a link yet, which anybody can open.
type admission struct {
	maxOpen int

	mu    sync.Mutex
	open  int // connections
	young int // of them, those that are no link yet
}

func newAdmission(maxOpen int) *admission { return &admission{maxOpen: maxOpen} }

var errNoRoom = errors.New("no room for another connection")

// ticket is one connection's place. Its fields are under the admission's
// mutex.
type ticket struct {
	*admission
	grown bool
}

type ticketKey struct{}

// admit takes in a connection at its first packet, or refuses it. It runs as
// Transport.ConnContext; ctx ends with the connection, or with the handshake
// if that fails.
func (a *admission) admit(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open >= a.maxOpen || a.young >= maxHandshakes {
		return nil, errNoRoom
	}
	a.open++
	a.young++
	t := &ticket{admission: a}
	context.AfterFunc(ctx, func() {
		t.grow()
		t.mu.Lock()
		t.open--
		t.mu.Unlock()
	})
	return context.WithValue(ctx, ticketKey{}, t), nil
}

// grow counts the connection as a link from now on.
func (t *ticket) grow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.grown {
		t.grown = true
		t.young--
	}
}

// admitted says that conn has become a link.
func admitted(conn *quic.Conn) {
	if t, ok := conn.Context().Value(ticketKey{}).(*ticket); ok {
		t.grow()
	}
}

// suspicious asks new connections to prove their address, once there are many
// that have proved nothing (RFC 9000, 8.1). It runs as
// Transport.VerifySourceAddress.
func (a *admission) suspicious(net.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.young >= maxHandshakes/2
}
