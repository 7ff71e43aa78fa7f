package simnet

import (
	"context"
	"fmt"
	"time"

	"github.com/anabranch-db/anabranch/transport"
)

// Endpoint is a transport.Network at one address of a Net.
type Endpoint struct {
	net      *Net
	self     transport.Credential
	addr     string
	instance transport.Instance
	accepted chan *link
	closed   chan struct{} // closed with the endpoint
}

var _ transport.Network = (*Endpoint)(nil)

// Addr implements transport.Network.
func (e *Endpoint) Addr() string { return e.addr }

// Instance implements transport.Network. Endpoints are counted.
func (e *Endpoint) Instance() transport.Instance { return e.instance }

// Dial implements transport.Network. It takes one round trip, and 10 seconds
// where nobody answers.
func (e *Endpoint) Dial(ctx context.Context, addr string) (transport.Link, error) {
	c := &call{answer: make(chan struct{})}
	if err := e.send(c, addr); err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	timeout := time.NewTimer(dialTimeout)
	defer timeout.Stop()
	var err error
	select {
	case <-c.answer:
		if err = c.err; err == nil {
			return c.link, nil
		}
	case <-timeout.C:
		err = transport.ErrUnreachable
	case <-ctx.Done():
		err = ctx.Err()
	case <-e.closed:
		err = transport.ErrClosed
	}
	e.hangUp(c)
	return nil, fmt.Errorf("dial %s: %w", addr, err)
}

// call is a request for a link. The net's mutex guards it until the answer is
// there.
type call struct {
	abandoned bool
	answer    chan struct{} // closed when link or err is set
	link      *link
	err       error
}

// send sends a request, and the answer back. Either gets lost in a cut.
func (e *Endpoint) send(c *call, addr string) error {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.endpoints[e.addr] != e:
		return transport.ErrClosed
	case addr == e.addr:
		return transport.ErrSelf
	}
	n.sendFrame(path{e.addr, addr}, time.Time{}, func() {
		other := n.endpoints[addr]
		if other == nil || n.cuts[pairOf(e.addr, addr)] || n.endpoints[e.addr] != e {
			return
		}
		p := newPipe(e, other)
		err := transport.ErrBusy
		select {
		case other.accepted <- p.acceptor:
			n.pipes = append(n.pipes, p)
			err = nil
		default:
		}
		n.sendFrame(path{addr, e.addr}, time.Time{}, func() { c.reply(p.dialer, err) })
	})
	return nil
}

// reply is the answer's arrival. A cut since the other end accepted has ended
// the link, which the dialer finds out when it uses it.
func (c *call) reply(l *link, err error) {
	if err != nil {
		l = nil
	}
	if c.abandoned && l != nil {
		l.shut(transport.CodeGoingAway, "nobody waits for this link")
	}
	c.link, c.err = l, err
	close(c.answer)
}

// hangUp gives up a call; its link, if there is or will be one, ends.
func (e *Endpoint) hangUp(c *call) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	c.abandoned = true
	if c.link != nil {
		c.link.shut(transport.CodeGoingAway, "nobody waits for this link")
	}
}

// Accept implements transport.Network.
func (e *Endpoint) Accept(ctx context.Context) (transport.Link, error) {
	select {
	case l := <-e.accepted:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.closed:
		return nil, fmt.Errorf("accept at %s: %w", e.addr, transport.ErrClosed)
	}
}

// Close implements transport.Network.
func (e *Endpoint) Close() error {
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[e.addr] != e {
		return nil
	}
	delete(n.endpoints, e.addr)
	close(e.closed)
	for _, p := range n.pipes {
		for _, l := range []*link{p.dialer, p.acceptor} {
			if l.endpoint == e {
				l.shut(transport.CodeGoingAway, "")
			}
		}
	}
	n.sweep()
	return nil
}
