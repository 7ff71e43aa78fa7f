package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

const (
	// firstRetry is the pause after a first failure to connect. It doubles
	// with each further one: a peer that restarts is back in well under a
	// second, and one that is away for hours costs a packet now and then.
	firstRetry = 100 * time.Millisecond
	// lastRetry bounds the pause, and so how long after the network came
	// back a node takes to notice.
	lastRetry = 5 * time.Second
	// dialTimeout bounds one attempt.
	dialTimeout = 10 * time.Second
	// steadyAfter is how long a link must have held for the next pause to
	// start over; before that the other end may be refusing us.
	steadyAfter = 5 * time.Second
	// strayRetry is the pause where nobody is at an address, and the node that
	// was there last is linked from elsewhere: it moved, or that is a copy.
	strayRetry = time.Minute
)

// dialer keeps a link with the node at one address.
type dialer struct {
	mesh    *mesh
	address string
	cancel  context.CancelFunc

	mu      sync.Mutex
	at      remote // the last that was there; zero before
	missed  bool   // nobody was there at the last attempt
	failure error  // why there is no link now
}

// dial begins to keep a link with the node at address, unless that is done
// already.
func (m *mesh) dial(address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dialers[address] != nil || m.ctx.Err() != nil {
		return
	}
	d := &dialer{mesh: m, address: address}
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
		return false
	}
	delete(m.dialers, address)
	d.cancel()
	at, _ := d.state()
	for _, l := range m.links {
		if l.remote() == at {
			_ = l.conn.Close(transport.CodeRemoved, "")
		}
	}
	return true
}

// run connects, and connects again, until it is cancelled.
func (d *dialer) run(ctx context.Context) {
	pause := firstRetry
	for d.mesh.waitToDial(ctx, d) {
		if d.connect(ctx) > steadyAfter {
			pause = firstRetry
		}
		// Half of the pause is chance, so that nodes that lost each other
		// together do not all come back together.
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		pause = min(2*pause, lastRetry)
	}
}

// connect makes a link and waits for its end. It returns how long it held.
func (d *dialer) connect(ctx context.Context) time.Duration {
	timeout, cancel := context.WithTimeout(ctx, dialTimeout)
	conn, err := d.mesh.network.Dial(timeout, d.address)
	cancel()
	if err != nil {
		if _, before := d.state(); before == nil || before.Error() != err.Error() {
			d.mesh.log.Info("no link", "address", d.address, "cause", err)
		}
		d.note(remote{}, err)
		return 0
	}
	d.note(remoteOf(conn), nil)
	l := d.mesh.attach(ctx, conn)
	if l == nil {
		return 0
	}
	<-l.done
	if !errors.Is(l.cause, transport.CodeDuplicate) {
		d.note(l.remote(), l.cause)
	}
	return time.Since(l.since)
}

// note writes down what the last attempt came to.
func (d *dialer) note(at remote, failure error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.missed = at == (remote{}); !d.missed {
		d.at = at
	}
	d.failure = failure
}

func (d *dialer) state() (remote, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, d.failure
}

// waitToDial returns true once this node is online and has no link with whom d
// dials, and false when ctx ends.
func (m *mesh) waitToDial(ctx context.Context, d *dialer) bool {
	timer := time.NewTimer(strayRetry)
	defer timer.Stop()
	for {
		m.mu.Lock()
		linked, stray := m.linked(d)
		wait := m.offline || linked
		changed := m.changed
		m.mu.Unlock()
		if !wait && !stray {
			return ctx.Err() == nil
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

// linked reports whether there is a link with whom d dials, or else whether the
// node that was there last has strayed. The caller holds mu.
func (m *mesh) linked(d *dialer) (linked, stray bool) {
	d.mu.Lock()
	at, missed := d.at, d.missed
	d.mu.Unlock()
	for _, l := range m.links {
		if l.peer != at.node || l.ctx.Err() != nil {
			continue
		}
		if l.instance == at.instance || l.conn.RemoteAddr() == d.address {
			return true, false
		}
		stray = missed
	}
	return false, stray
}

// PeerStatus is what is known of one peer: an address that this node keeps a
// link with, or a node that has a link with it.
type PeerStatus struct {
	// Address is the configured one, or the far end's for a peer that
	// dialed us and is not configured here.
	Address string
	// Configured says that this node keeps dialing Address.
	Configured bool
	// Node is zero as long as nobody was met at Address.
	Node crdt.NodeID
	// Connected is since when the link is up; zero if there is none.
	Connected time.Time
	// Failure says why there is no link, if an attempt failed.
	Failure error
	// Stats are of the link that is up.
	Stats transport.LinkStats
}

// peers returns the status of every peer, ordered by address.
func (m *mesh) peers() []PeerStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	up := map[remote]*link{}
	for _, l := range m.links {
		if old := up[l.remote()]; old == nil || l.id < old.id {
			up[l.remote()] = l
		}
	}
	var all []PeerStatus
	for address, d := range m.dialers {
		p := PeerStatus{Address: address, Configured: true}
		var at remote
		at, p.Failure = d.state()
		p.Node = at.node
		if l := best(up, at, address); l != nil {
			p.Connected, p.Failure, p.Stats = l.since, nil, l.conn.Stats()
			delete(up, l.remote())
		}
		all = append(all, p)
	}
	for at, l := range up {
		all = append(all, PeerStatus{Address: l.conn.RemoteAddr(), Node: at.node, Connected: l.since, Stats: l.conn.Stats()})
	}
	slices.SortFunc(all, func(a, b PeerStatus) int {
		if a.Address != b.Address {
			if a.Address < b.Address {
				return -1
			}
			return 1
		}
		return a.Node.Compare(b.Node)
	})
	return all
}

// best returns the link with whom was last at an address: with that instance of
// the node, or the one that is there now, or any.
func best(up map[remote]*link, at remote, address string) (any *link) {
	if l := up[at]; l != nil {
		return l
	}
	for _, l := range up {
		switch {
		case l.peer != at.node:
		case l.conn.RemoteAddr() == address:
			return l
		case any == nil || l.id < any.id:
			any = l
		}
	}
	return any
}

// checkAddress refuses what cannot be dialed.
func checkAddress(address string) error {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return fmt.Errorf("%w: address %q: want HOST:PORT", ErrOptions, address)
	}
	return nil
}
