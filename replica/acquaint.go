package replica

import (
	"crypto/sha256"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// How nodes come to know each other's addresses. A node tells each peer where
// it listens, where it sees the peer, and where it has met others. It passes on
// nothing that it was told itself, so that no rumour lives on, and no address
// of a node behind a NAT, which it sees elsewhere than that node listens.

const (
	// maxTold bounds the peers of which is remembered what they were told. It
	// is what makes a rejoin say nothing of addresses where there is no news.
	maxTold = 4096
	// spreadTo is how many peers are told at once of a node that was met.
	// In a small mesh that is everybody; in a large one the others hear of it
	// when they reconnect.
	spreadTo = 8
)

// told is what a peer was told last.
type told struct {
	at  time.Time         // of whom was met until then
	own [sha256.Size]byte // where this node is, and sees it
}

// acquaint tells a peer what there is to know and it was not told. It runs in
// the loop.
func (m *mesh) acquaint(id protocol.LinkID) {
	l := m.link(id)
	if l == nil {
		return
	}
	places, seen, now := m.claims(), l.conn.RemoteAddr(), time.Now()
	before := m.told[l.remote()]
	own := sha256.Sum256([]byte(seen + "\n" + strings.Join(places, "\n")))
	nodes := m.book.tell(l.peer, protocol.MaxWhereabouts-1, m.linkedAddresses(), before.at, now)
	nodes = slices.DeleteFunc(nodes, func(w protocol.Whereabouts) bool { return m.roster.revoked(w.Node) })
	if len(nodes) == 0 && before.own == own {
		return
	}
	if len(m.told) >= maxTold {
		clear(m.told) // some are told again
	}
	m.told[l.remote()] = told{now, own}
	if len(places) > 0 {
		nodes = append(nodes, protocol.Whereabouts{Node: m.book.self, How: protocol.KnowsOwn, Places: places})
	}
	m.inbox.post(tellOf(id, seen, nodes))
}

func tellOf(id protocol.LinkID, seen string, nodes []protocol.Whereabouts) protocol.TellAddresses {
	slices.SortFunc(nodes, func(a, b protocol.Whereabouts) int { return a.Node.Compare(b.Node) })
	return protocol.TellAddresses{Link: id, Seen: seen, Nodes: nodes}
}

// claims returns where this node listens, as far as others can use it.
func (m *mesh) claims() []string {
	all := slices.DeleteFunc(slices.Clone(m.book.places()), func(a string) bool { return len(a) > protocol.MaxPlaceBytes })
	return all[:min(len(all), protocol.MaxPlaces)]
}

// hear takes in what a peer tells. It runs in the loop.
func (m *mesh) hear(e protocol.LearnAddresses) {
	l := m.link(e.Link)
	if l == nil {
		return
	}
	m.seenAs(l, e.Seen)
	at, now := l.conn.RemoteAddr(), time.Now()
	for _, w := range e.Nodes {
		switch {
		case w.Node != l.peer:
			if w.How > protocol.KnowsOwn {
				m.book.learn(l.peer, w, loopback(at), now)
			}
		case slices.Contains(w.Places, at) && !l.conn.Dialed():
			m.book.learn(l.peer, w, loopback(at), now)
			m.meet(l, protocol.KnowsSeen)
		case l.conn.Dialed():
			m.book.learn(l.peer, w, loopback(at), now)
		} // else a NAT is between, and what it says is of use on its side only
	}
}

// seenAs writes down where a peer sees this node, for the links with it that
// come, too: it does not say so again as long as that stays.
func (m *mesh) seenAs(l *link, at string) {
	if at == "" {
		return
	}
	l.seenAs.Store(&at)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) >= maxTold {
		clear(m.seen)
	}
	m.seen[l.remote()] = at
}

// meet writes down that the peer is where its link leads, and tells others if
// that is news.
func (m *mesh) meet(l *link, how protocol.Knowing) {
	at, now := l.conn.RemoteAddr(), time.Now()
	if !m.book.met(at, l.peer, how, now) {
		return
	}
	m.inbox.ask(func() { m.spread(l, protocol.Whereabouts{Node: l.peer, How: how, Places: []string{at}}) })
}

// spread tells others where l's peer was met. It runs in the loop.
func (m *mesh) spread(l *link, news protocol.Whereabouts) {
	if len(news.Places[0]) > protocol.MaxPlaceBytes || news.Node == m.book.self {
		return
	}
	others := m.others(l)
	dice().Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	for _, o := range others[:min(len(others), spreadTo)] {
		if t, ok := m.told[o.remote()]; ok { // else it is to be told of all yet
			t.at = time.Now()
			m.told[o.remote()] = t
			m.inbox.post(tellOf(o.id, "", []protocol.Whereabouts{news}))
		}
	}
}

// others returns the links with other nodes than l's.
func (m *mesh) others(l *link) (all []*link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range inOrder(m.links) {
		if o.peer != l.peer {
			all = append(all, o)
		}
	}
	return all
}

// linkedAddresses returns where links lead to now.
func (m *mesh) linkedAddresses() map[string]crdt.NodeID {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := map[string]crdt.NodeID{}
	for _, l := range m.links {
		at[l.conn.RemoteAddr()] = l.peer
	}
	return at
}

// loopback reports whether an address is of this machine alone.
func loopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// places returns where this node is.
func (b *book) places() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.own
}

// tell returns where this node met others for the first time after since, for a
// peer: at most so many, drawn by chance, since all would dial the same ones.
// linked is where links lead to. Where copies of this node are is left out: of
// itself a node tells where it listens, and nothing else.
func (b *book) tell(peer crdt.NodeID, most int, linked map[string]crdt.NodeID, since, now time.Time) []protocol.Whereabouts {
	b.mu.Lock()
	defer b.mu.Unlock()
	byNode := map[crdt.NodeID]*protocol.Whereabouts{}
	b.refresh(linked, now)
	for _, c := range inOrder(b.all) {
		old := c.hearsay() || now.Sub(c.proven) > tellCandidates || !c.first.After(since)
		if old || c.node == peer || c.node == b.self || len(c.address) > protocol.MaxPlaceBytes {
			continue
		}
		w := byNode[c.node]
		if w == nil || w.How < c.how {
			w = &protocol.Whereabouts{Node: c.node, How: c.how, AgeSeconds: ^uint64(0)}
			byNode[c.node] = w
		}
		if w.How == c.how && len(w.Places) < protocol.MaxPlaces {
			w.Places = append(w.Places, c.address)
			w.AgeSeconds = min(w.AgeSeconds, uint64(now.Sub(c.proven)/time.Second))
		}
	}
	all := make([]protocol.Whereabouts, 0, len(byNode))
	for _, w := range byNode {
		slices.Sort(w.Places)
		all = append(all, *w)
	}
	slices.SortFunc(all, func(x, y protocol.Whereabouts) int { return x.Node.Compare(y.Node) })
	dice().Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), most)]
}

// listening returns where a network that listens at an address can be reached.
func listening(at string) ([]string, error) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return []string{at}, nil // of a network that is not IP
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return []string{at}, nil
	}
	return interfaceAddresses(port)
}
