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
