package replica

import (
	"cmp"
	"slices"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// Origin is how an address came to be known.
type Origin string

// The origins of addresses. A peer that dialed us and is not known otherwise
// has none.
const (
	// OriginConfigured is one of Options.Peers.
	OriginConfigured Origin = "configured"
	// OriginSaved is one that AddPeer wrote down.
	OriginSaved Origin = "saved"
	// OriginDiscovered is one that Options.Discovery found.
	OriginDiscovered Origin = "discovered"
	// OriginLearned is one that a peer told.
	OriginLearned Origin = "learned"
	// OriginMet is one at which a peer was met that is not any of these: it
	// was configured once, or dialed us from there.
	OriginMet Origin = "met"
)

// PeerStatus is what is known of one peer: an address that this node keeps a
// link with, or a node that has a link with it.
type PeerStatus struct {
	// Address is the one that is dialed, or the far end's for a peer that
	// dialed us and whose address is not known here.
	Address string
	// Configured says that this node keeps dialing Address, for as long as it
	// takes: it was told to.
	Configured bool
	// Origin is how Address came to be known; "" if the peer dialed us.
	Origin Origin
	// From is the peer that told Address, if it was learned.
	From crdt.NodeID
	// SeenAs is where the peer sees this node; "" if it did not say. If none
	// of the peers sees it where it listens, a NAT is between.
	SeenAs string
	// Node is zero as long as nobody was met at Address.
	Node crdt.NodeID
	// Connected is since when the link is up; zero if there is none.
	Connected time.Time
	// Elsewhere says that the link is told of at another address of the node,
	// with its Stats: a node has one link, however many addresses it has.
	Elsewhere bool
	// Doubted says that the link is up, and packets go unanswered.
	Doubted bool
	// Failure says why there is no link, if an attempt failed or the last
	// link broke, and FailedAt when that was.
	Failure  error
	FailedAt time.Time
	// Breaker tells when Address is dialed next. It is closed while a link
	// is up.
	Breaker Breaker
	// Clock is its clock.
	Clock ClockStatus
	// Meter is how the link stands if it is metered, else nil.
	Meter *MeterStatus
	// Stats are of the link that is up.
	Stats transport.LinkStats

	up *link // while the list is made
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
	linked := map[crdt.NodeID]*link{}
	for at, l := range up {
		if old := linked[at.node]; old == nil || l.id < old.id {
			linked[at.node] = l
		}
	}
	var all []PeerStatus
	for _, d := range m.dialers {
		p := d.status()
		at := d.met()
		if at.node.IsZero() { // nobody yet, in this run
			at.node = m.book.at(d.address)
		}
		if l := cmp.Or(best(up, at, d.address), linked[at.node]); l != nil { // perhaps it is told of at another address, too
			p.Node = l.peer
			p.link(l)
			delete(up, l.remote())
		}
		all = append(all, p)
	}
	known := map[string]*candidate{}
	for _, c := range m.book.known() {
		known[c.address] = &c
	}
	for at, l := range up {
		p := PeerStatus{Address: l.conn.RemoteAddr(), Node: at.node}
		if c := known[p.Address]; c != nil && l.conn.Dialed() {
			p.Origin, p.From = c.origin, c.from
		}
		p.link(l)
		delete(known, p.Address)
		all = append(all, p)
	}
	for address, c := range known {
		// Another address of a node that is linked is nothing to look after.
		if m.dialers[address] == nil && c.failure != nil && linked[c.node] == nil {
			all = append(all, c.status())
		}
	}
	for i := range all {
		if p := &all[i]; p.Connected.IsZero() {
			p.Clock = m.clocks.peer(remote{node: p.Node})
		}
	}
	slices.SortFunc(all, func(a, b PeerStatus) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), a.Node.Compare(b.Node))
	})
	tellOnce(all)
	return all
}

// tellOnce leaves each link to one of the addresses that have it: the one where
// the far end is, or the first, which may be a name for it.
func tellOnce(all []PeerStatus) {
	tells := map[*link]*PeerStatus{}
	for i := range all {
		if p := &all[i]; p.up != nil && (tells[p.up] == nil || p.Address == p.up.conn.RemoteAddr()) {
			tells[p.up] = p
		}
	}
	for i := range all {
		p := &all[i]
		if p.up != nil && tells[p.up] != p {
			p.Elsewhere, p.SeenAs, p.Stats = true, "", transport.LinkStats{}
		}
		p.up = nil // of no use to callers
	}
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

// status tells what dialing came to.
func (d *dialer) status() PeerStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return PeerStatus{
		Address: d.address, Configured: true, Origin: d.origin, Node: d.at.node,
		Failure: d.failure, FailedAt: d.failedAt, Breaker: d.breaker.status(time.Now()),
	}
}

// status tells what dialing a candidate came to.
func (c *candidate) status() PeerStatus {
	return PeerStatus{
		Address: c.address, Origin: c.origin, From: c.from, Node: c.node,
		Failure: c.failure, FailedAt: c.failedAt, Breaker: c.breaker.status(time.Now()),
	}
}

// link adds what a link tells that is up.
func (p *PeerStatus) link(l *link) {
	p.up, p.Connected, p.Doubted, p.Stats = l, l.since, l.doubted(), l.conn.Stats()
	p.Clock = l.mesh.clocks.peer(l.remote())
	p.Meter = l.account.Load().status(l.mesh.uptime())
	if seen := l.seenAs.Load(); seen != nil {
		p.SeenAs = *seen
	}
	p.Failure, p.FailedAt, p.Breaker = nil, time.Time{}, Breaker{State: BreakerClosed}
}
