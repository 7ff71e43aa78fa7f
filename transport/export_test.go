package transport

import (
	"context"
	"net"
)

// Held returns how many nodes the network holds links with.
func (q *QUIC) Held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.links)
}

// DialAny dials a host that has those addresses.
func (q *QUIC) DialAny(ctx context.Context, addrs ...*net.UDPAddr) (Link, error) {
	l, err := q.dial(ctx, addrs)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// SetDoubt has the peer of a link doubted, or not.
func SetDoubt(l Link, on bool) { l.(*quicLink).setDoubt(on) }

// SetLocal says whether this machine still has the address that the peer of a
// link has dialed.
func SetLocal(l Link, local bool) { l.(*quicLink).setLocal(local) }

// AsOld makes a network dial as one of a release that knows anabranch/1 only.
func (q *QUIC) AsOld() {
	q.dialTLS = q.dialTLS.Clone()
	q.dialTLS.NextProtos = []string{alpnOld}
}
