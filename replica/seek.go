package replica

import (
	"context"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// DefaultMeshLinks is how many links a node has before it stops to look for
// peers that nobody configured. With two or more links to nodes drawn by
// chance a graph of any size is connected but for rare cases (Fenner and
// Frieze 1982), and with four the way through a thousand nodes is five links;
// a fleet of a thousand has 4,000 links then, and not half a million.
const DefaultMeshLinks = 4

// seekers is how many candidates are tried at a time: one that does not answer
// takes ten seconds.
const seekers = 2

// seek makes links with candidates, as long as there are too few links.
func (m *mesh) seek() {
	for m.ctx.Err() == nil {
		changed, wait, found := m.seekOne()
		if !found {
			m.rest(changed, wait)
		}
	}
}

// seekOne tries a candidate if there are too few links, and with those that
// other seekers try. It reports whether there was one; else there may be when
// changed is closed, or after wait if that is not 0.
func (m *mesh) seekOne() (changed <-chan struct{}, wait time.Duration, found bool) {
	m.mu.Lock()
	changed = m.changed
	if m.offline || m.enough() {
		m.mu.Unlock()
		return changed, 0, false
	}
	suits := m.lacking()
	m.seeking++
	m.mu.Unlock()
	c, wait := m.book.next(time.Now(), suits)
	if c != nil {
		m.book.wake() // there may be another for the other seeker
		m.try(c)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seeking--
	if c != nil {
		m.linksChanged() // the other may have waited for how it goes
	}
	return changed, wait, c != nil
}

// rest returns when there may be a candidate to dial: after a time, unless
// that is 0, or when something has changed.
func (m *mesh) rest(changed <-chan struct{}, wait time.Duration) {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-changed:
	case <-m.book.news:
	case <-due:
	case <-m.ctx.Done():
	}
}

// enough reports whether there are links with as many nodes as there are to be,
// those included that are being tried. It looks at no more of a hub's thousands
// than it takes to tell. The caller holds mu.
func (m *mesh) enough() bool {
	wanted := m.meshLinks - m.seeking
	nodes := map[crdt.NodeID]bool{}
	for _, l := range m.links {
		if len(nodes) >= wanted {
			break
		}
		if l.live() {
			nodes[l.peer] = true
		}
	}
	return len(nodes) >= wanted
}

// lacking tells which candidates would be of use: those of nodes without a link
// which no dialer is about. The caller holds mu.
func (m *mesh) lacking() (suits func(*candidate) bool) {
	nodes, addresses := map[crdt.NodeID]bool{}, map[string]bool{}
	for _, l := range m.links {
		if l.live() {
			nodes[l.peer], addresses[l.conn.RemoteAddr()] = true, true
		}
	}
	for address := range m.dialers {
		addresses[address] = true
	}
	return func(c *candidate) bool { return !nodes[c.node] && !addresses[c.address] }
}

// try dials a candidate.
func (m *mesh) try(c *candidate) {
	conn, err := reach(m.ctx, m.network, c.address, firstHedge, nil, func() bool { return m.linkedTo(c.address) })
	if err == nil && m.book.unwanted(conn.Peer().Node) {
		_ = conn.Close(transport.CodeRemoved, "")
		err = transport.CodeRemoved
	}
	var l *link
	if err == nil {
		if l = m.attach(m.ctx, conn); l == nil {
			err = errNotTaken
		}
	}
	if err != nil {
		m.log.Debug("no link with a candidate", "address", c.address, "cause", err)
		m.book.failed(c, err, time.Now())
		return
	}
	m.book.tried(c, l.peer)
	m.running.Go(func() {
		<-l.done
		m.book.ended(c, l.cause, time.Since(l.since), time.Now())
	})
}

// linkedTo reports whether there is a link with who is said to be at an address,
// or with who is there.
func (m *mesh) linkedTo(address string) bool {
	node := m.book.at(address)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		if l.live() && (l.peer == node || l.conn.RemoteAddr() == address) {
			return true
		}
	}
	return false
}

// discover has Options.Discovery find candidates, until the mesh closes.
func (m *mesh) discover(d Discovery) {
	err := d.Discover(m.ctx, Announcement{
		Cluster: m.roster.cluster(), Instance: m.network.Instance(), Addr: m.network.Addr(),
		Changed: m.moves,
	}, func(address string) {
		m.book.found(address, time.Now())
	})
	if err != nil && m.ctx.Err() == nil {
		m.log.Warn("peers are not discovered", "error", err)
	}
}

// Discovery finds nodes near this one, such as on its LAN. Package lan has one.
type Discovery interface {
	// Discover tells others of this node, and calls found with the address of
	// each that may be of its cluster, again each time that it is heard of,
	// until ctx ends, and returns its error. Addresses are only tried: who is
	// there has to prove it. found does not block.
	Discover(ctx context.Context, self Announcement, found func(address string)) error
}

// Announcement is what a Discovery may tell of a node.
type Announcement struct {
	Cluster transport.ClusterID
	// Instance names this run of the node, and nothing else.
	Instance transport.Instance
	// Addr is where it listens, HOST:PORT; the host may be unspecified.
	Addr string
	// Changed is sent to when this node's network has changed. It has one
	// receiver.
	Changed <-chan struct{}
}
