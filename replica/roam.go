package replica

import (
	"time"

	"github.com/anabranch-db/anabranch/transport"
)

// NetworkChanged says that the device's network has changed: another one, an
// address, a route. Links move to the new path where it leads to the peer, and
// peers without a link are dialed at once. On Linux, and less promptly
// elsewhere, the database notices by itself; on platforms that tell programs
// of it, pass it on. To call it in vain costs a packet for each link that this
// node dialed. ErrOffline says that the database was opened without a network.
func (d *DB) NetworkChanged() error {
	if d.mesh == nil {
		return ErrOffline
	}
	d.mesh.networkChanged()
	return nil
}

// watchNetwork notices changes of the device's network until the mesh closes.
func (m *mesh) watchNetwork() {
	err := transport.WatchNetwork(m.ctx, m.networkChanged)
	if m.ctx.Err() == nil {
		m.log.Warn("changes of the network are not noticed, and cost seconds", "error", err)
	}
}

// networkChanged has links asked after, and lets no dialer wait.
func (m *mesh) networkChanged() {
	m.log.Debug("the network has changed")
	if n, ok := m.network.(interface{ NetworkChanged() }); ok {
		n.NetworkChanged()
	}
	signal(m.moves)
	m.book.moved(time.Now())
	m.settle()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range inOrder(m.dialers) {
		d.moved()
	}
}

// settle finds out where this node can be reached, and tells its peers if that
// has changed.
func (m *mesh) settle() {
	own, err := listening(m.network.Addr())
	if err != nil {
		m.log.Warn("where this node can be reached is not known", "error", err)
		return
	}
	if !m.book.isOwn(own) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range inOrder(m.links) {
		m.inbox.ask(func() { m.acquaint(id) })
	}
}

// doubts wakes who waits for links that can be counted on. It is told by the
// network when one of them cannot be any more, or can again.
func (m *mesh) doubts() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.linksChanged()
}
