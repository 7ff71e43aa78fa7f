package replica

import (
	"slices"
	"sync"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// A device that was cloned, or restored from a backup while the original runs,
// has its node's key twice. Its runs are writers of their own, as all runs are,
// so nothing is lost and nothing has to be mended; each has its own links. It
// is said all the same: whoever copied a device may not know that both share
// one identity, which can only be revoked for both.

// remote is the far end of a link: an instance of a node.
type remote struct {
	node     crdt.NodeID
	instance transport.Instance
}

func remoteOf(conn transport.Link) remote { return remote{conn.Peer().Node, conn.Instance()} }

func (l *link) remote() remote { return remote{l.peer, l.instance} }

// CopyStatus says that a node runs more than once at a time: its device was
// cloned, or restored from a backup while the original runs.
type CopyStatus struct {
	Node crdt.NodeID
	// Instances is how many are linked with this node, or are this node.
	Instances int
}

// silence is how a link stands that was up when another instance of its node
// came. If the node has started again, nothing more will come on it; if it has
// two copies, something will.
type silence struct {
	mu    sync.Mutex
	lasts bool   // nothing came since
	bytes uint64 // that had come then
}

// beginSilence begins the silence of the links with other instances of l's node. The
// caller holds mu.
func (m *mesh) beginSilence(l *link) {
	for _, o := range m.links {
		if o.peer == l.peer && o.instance != l.instance {
			s := &o.silence
			s.mu.Lock()
			s.lasts, s.bytes = true, o.conn.Stats().BytesReceived
			s.mu.Unlock()
		}
	}
}

// heard ends a link's silence: a frame came.
func (l *link) heard() {
	s := &l.silence
	s.mu.Lock()
	lasted := s.lasts
	s.lasts = false
	s.mu.Unlock()
	if lasted {
		l.mesh.log.Warn("a node is linked with two of its instances: its device was cloned, or restored while the original runs",
			"peer", l.peer.Short(), "address", l.conn.RemoteAddr())
	}
}

// alive reports whether something came since another instance did. It need not
// be a frame: a quiet link's keepalives are answered.
func (l *link) alive() bool {
	s := &l.silence
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.ctx.Err() == nil && (!s.lasts || l.conn.Stats().BytesReceived > s.bytes)
}

// copies returns the nodes that run more than once, ordered.
func (m *mesh) copies() (all []CopyStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[remote]bool{{m.roster.identity.Node(), m.network.Instance()}: true}
	for _, l := range m.links {
		if l.alive() {
			seen[l.remote()] = true
		}
	}
	counts := map[crdt.NodeID]int{}
	for at := range seen {
		counts[at.node]++
	}
	for node, n := range counts {
		if n > 1 {
			all = append(all, CopyStatus{node, n})
		}
	}
	slices.SortFunc(all, func(a, b CopyStatus) int { return a.Node.Compare(b.Node) })
	return all
}
