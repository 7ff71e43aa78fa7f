package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/quic-go/quic-go"
)

// Dial implements Network. A name with several addresses is tried at each,
// the later ones a quarter of a second after the one before.
func (q *QUIC) Dial(ctx context.Context, addr string) (Link, error) {
	addrs, err := resolve(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", addr, err)
	}
	if addrs = q.within(addrs); len(addrs) == 0 {
		return nil, fmt.Errorf("dial %s: %w: this node listens at %s, from where it reaches this machine only", addr, ErrUnreachable, q.Addr())
	}
	l, err := q.dial(ctx, addrs)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return l, nil
}

// within returns the addresses that can be reached from where this node
// listens: the kernel sends nothing from a loopback address to another machine.
func (q *QUIC) within(addrs []*net.UDPAddr) []*net.UDPAddr {
	own, ok := q.transport.Conn.LocalAddr().(*net.UDPAddr)
	if !ok || !own.IP.IsLoopback() {
		return addrs
	}
	return slices.DeleteFunc(addrs, func(a *net.UDPAddr) bool { return !a.IP.IsLoopback() && !a.IP.IsUnspecified() })
}

// dial makes a link with whoever answers first.
func (q *QUIC) dial(ctx context.Context, addrs []*net.UDPAddr) (*quicLink, error) {
	conn, err := connect(ctx, q.transport, addrs, q.dialTLS, q.config(-1))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, prefaceTimeout)
	defer cancel()
	l, err := q.introduce(ctx, conn)
	if err != nil {
		err = dialError(err)
		_ = conn.CloseWithError(quic.ApplicationErrorCode(codeOf(err)), "")
		return nil, err
	}
	return l, nil
}

// resolve returns the UDP addresses behind host:port, the first few. The error
// wraps ErrUnreachable if addr is well formed.
func resolve(ctx context.Context, addr string) ([]*net.UDPAddr, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	var out []*net.UDPAddr
	for _, ip := range ips[:min(len(ips), maxDialAddrs)] {
		out = append(out, &net.UDPAddr{IP: ip.IP, Zone: ip.Zone, Port: port})
	}
	return out, nil
}

// attempt is the outcome of a handshake with one address.
type attempt struct {
	conn *quic.Conn
	err  error
}

// connect shakes hands with the first of some addresses that does. The next
// one is tried when those before have failed, or have not answered for a while
// (as RFC 8305 does for TCP): a host has addresses that lead nowhere, as
// localhost has where one listens at the other family only.
func connect(ctx context.Context, t *quic.Transport, addrs []*net.UDPAddr, conf *tls.Config, qconf *quic.Config) (*quic.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	attempts := make(chan attempt, len(addrs))
	var errs []error
	for started := 0; ; {
		var next <-chan time.Time
		if started < len(addrs) {
			at := addrs[started]
			started++
			go func() {
				conn, err := t.Dial(ctx, at, conf, qconf)
				attempts <- attempt{conn, err}
			}()
			next = time.After(dialStagger)
		}
		select {
		case <-next:
		case a := <-attempts:
			if a.err == nil {
				go discard(attempts, started-len(errs)-1)
				return a.conn, nil
			}
			errs = append(errs, dialError(a.err))
			if len(errs) == len(addrs) {
				return nil, errors.Join(errs...)
			}
		}
	}
}

// discard ends the connections of the attempts that came too late. They end
// soon: their context has.
func discard(attempts <-chan attempt, n int) {
	for range n {
		if a := <-attempts; a.err == nil {
			_ = a.conn.CloseWithError(quic.ApplicationErrorCode(CodeNone), "")
		}
	}
}
