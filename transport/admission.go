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
	maxOpen, maxYoung int
	penalties         *penalties

	mu      sync.Mutex
	open    int // connections
	young   int // of them, those that are no link yet
	most    int // that were young at a time
	refused uint64
}

func newAdmission(maxOpen, maxYoung int) *admission {
	return &admission{maxOpen: maxOpen, maxYoung: maxYoung, penalties: newPenalties()}
}

// Admission counts the connections that others opened.
type Admission struct {
	// Open are those that are up, handshakes included.
	Open int
	// Handshakes are those that are no link yet, and MostHandshakes how many
	// they were at most at a time.
	Handshakes, MostHandshakes int
	// Refused counts those for which there was no room. Who was refused comes
	// again.
	Refused uint64
	// KeptOut counts those of members that broke a rule or came too often, and
	// of whoever comes from the same address. What was not even heard is not
	// counted.
	KeptOut uint64
}

// Admission returns how many connections others opened.
func (q *QUIC) Admission() Admission {
	a := q.admission
	a.penalties.mu.Lock()
	kept := a.penalties.kept
	a.penalties.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	return Admission{Open: a.open, Handshakes: a.young, MostHandshakes: a.most, Refused: a.refused, KeptOut: kept}
}

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
func (a *admission) admit(ctx context.Context, from *quic.ClientInfo) (context.Context, error) {
	if from != nil && !a.penalties.knock(from.RemoteAddr) {
		return nil, errNoRoom
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open >= a.maxOpen || a.young >= a.maxYoung {
		a.refused++
		return nil, errNoRoom
	}
	a.open++
	a.young++
	a.most = max(a.most, a.young)
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
	return a.young >= a.maxYoung/2
}
