package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// strayRetry is the pause where nobody is at an address, and the node that was
// there last is linked from elsewhere: it moved, or that is a copy.
const strayRetry = time.Minute

// dialer keeps a link with the node at one address.
type dialer struct {
	mesh    *mesh
	address string
	origin  Origin
	cancel  context.CancelFunc
	kick    chan struct{} // of capacity 1: try at once

	mu       sync.Mutex
	at       remote // the last that was there; zero before
	missed   bool   // nobody was there at the last attempt
	breaker  breaker
	failure  error // of the last attempt or link; nil: it is up, or never was tried
	failedAt time.Time
}

// dial begins to keep a link with the node at address, unless that is done
// already.
func (m *mesh) dial(address string, origin Origin) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dialers[address] != nil || m.ctx.Err() != nil {
		return
	}
	d := &dialer{mesh: m, address: address, origin: origin, kick: make(chan struct{}, 1)}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(m.ctx)
	m.dialers[address] = d
	m.running.Go(func() { d.run(ctx) })
}

// hangUp stops keeping a link with the node at address, and closes the one
// that is up. It reports whether there was anything to stop.
func (m *mesh) hangUp(address string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dialers[address]
	if d == nil {
		return m.dismiss(m.book.at(address))
	}
	delete(m.dialers, address)
	d.cancel()
	at := d.met()
	if at.node.IsZero() { // its link was one too many: who is there dialed us
		m.dismiss(m.book.at(address))
		return true
	}
	m.book.remove(at.node, true)
	for _, l := range inOrder(m.links) {
		if l.remote() == at {
			_ = l.conn.Close(transport.CodeRemoved, "")
		}
	}
	return true
}

// dismiss closes the links with a node, and dials it no more wherever it is
// said to be. It reports whether there is such a node. The caller holds mu.
func (m *mesh) dismiss(node crdt.NodeID) bool {
	if node.IsZero() {
		return false
	}
	m.book.remove(node, true)
	for _, l := range inOrder(m.links) {
		if l.peer == node {
			_ = l.conn.Close(transport.CodeRemoved, "")
		}
	}
	return true
}

// run connects, and connects again, until it is cancelled.
func (d *dialer) run(ctx context.Context) {
	for d.mesh.waitToDial(ctx, d) {
		d.connect(ctx)
		if !d.rest(ctx) {
			return
		}
	}
}

// rest waits until the breaker lets the next attempt through, or the network
// has changed. It returns false when ctx ends.
func (d *dialer) rest(ctx context.Context) bool {
	for {
		d.mu.Lock()
		pause := d.breaker.wait(time.Now())
		d.mu.Unlock()
		if pause == 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-d.kick:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return false
		}
	}
}

// moved says that the network has changed, so that it is worth to try again.
func (d *dialer) moved() {
	d.mu.Lock()
	d.breaker.moved(time.Now())
	d.mu.Unlock()
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// connect makes a link and waits for its end, or until it is doubted.
func (d *dialer) connect(ctx context.Context) {
	select {
	case <-d.kick: // of before
	default:
	}
	d.mu.Lock()
	now := time.Now()
	d.breaker.try(now)
	hedge := d.breaker.hedge(now)
	d.mu.Unlock()
	conn, err := reach(ctx, d.mesh.network, d.address, hedge, d.kick, d.linked)
	if ctx.Err() != nil {
		if err == nil {
			_ = conn.Close(transport.CodeGoingAway, "")
		}
		return
	}
	if err != nil {
		d.failed(err)
		return
	}
	d.meet(remoteOf(conn))
	l := d.mesh.attach(ctx, conn)
	if l == nil {
		d.failed(errNotTaken)
		return
	}
	d.mesh.hold(l)
	d.lost(l)
}

// meet takes note of who is at the address.
func (d *dialer) meet(at remote) {
	d.mu.Lock()
	d.at, d.missed, d.failure = at, false, nil
	d.mu.Unlock()
	d.mesh.metAt(d.address, at.node)
	d.mesh.book.allow(at.node) // it is wanted at this address
}

// errNotTaken says that this node did not want a link after all.
var errNotTaken = errors.New("the link was not taken: offline, or the peer is revoked")

// failed writes down that an attempt came to nothing.
func (d *dialer) failed(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if errors.Is(err, errLinked) {
		d.breaker.fail(now, err, dice().Float64())
		return
	}
	if d.failure == nil || d.failure.Error() != err.Error() {
		d.mesh.log.Info("no link", "address", d.address, "cause", err)
	}
	d.missed, d.failure, d.failedAt = true, err, now
	d.breaker.fail(now, err, dice().Float64())
}

// hold returns when a link has ended, or is in doubt.
func (m *mesh) hold(l *link) {
	for {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if l.doubted() {
			return
		}
		select {
		case <-changed:
		case <-l.done:
			return
		}
	}
}

// errDoubted says that a link is as good as lost.
var errDoubted = errors.New("packets on the link go unanswered")

// lost writes down that a link has ended, or is in doubt.
func (d *dialer) lost(l *link) {
	cause := errDoubted
	select {
	case <-l.done:
		cause = l.cause
	default:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if kindOf(cause) != benign {
		d.failure, d.failedAt = cause, now
	}
	d.breaker.ended(now, cause, now.Sub(l.since), dice().Float64())
}

// met returns who was there last.
func (d *dialer) met() remote {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

// waitToDial returns true once this node is online and has no link with whom d
// dials, and false when ctx ends.
func (m *mesh) waitToDial(ctx context.Context, d *dialer) bool {
	timer := time.NewTimer(strayRetry)
	defer timer.Stop()
	for {
		m.mu.Lock()
		l, stray := m.linkOf(d)
		wait := m.offline || l != nil
		changed := m.changed
		m.mu.Unlock()
		if !wait && !stray {
			return ctx.Err() == nil
		}
		if l != nil && l.remote() != d.met() { // it dialed us
			d.meet(l.remote())
		}
		select {
		case <-changed:
		case <-timer.C:
			if !wait {
				return ctx.Err() == nil
			}
		case <-ctx.Done():
			return false
		}
	}
}

// linked reports whether there is a link with whom d dials.
func (d *dialer) linked() bool {
	d.mesh.mu.Lock()
	defer d.mesh.mu.Unlock()
	l, _ := d.mesh.linkOf(d)
	return l != nil
}

// linkOf returns the link with whom d dials, be it who was there last or who is
// there, unless it is in doubt; or else nil and whether the node that was there
// last has strayed. The caller holds mu.
func (m *mesh) linkOf(d *dialer) (_ *link, stray bool) {
	d.mu.Lock()
	at, missed := d.at, d.missed
	d.mu.Unlock()
	for _, l := range inOrder(m.links) {
		switch {
		case !l.live():
		case l.remote() == at, l.conn.RemoteAddr() == d.address:
			return l, false
		case l.peer == at.node:
			stray = missed
		}
	}
	return nil, stray
}

// live reports whether a link is up, and not in doubt.
func (l *link) live() bool { return l.ctx.Err() == nil && !l.doubted() }

// doubted reports whether packets to the peer go unanswered.
func (l *link) doubted() bool {
	d, ok := l.conn.(transport.Doubtful)
	return ok && d.Doubted()
}
