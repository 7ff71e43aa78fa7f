package replica

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

// everyPeer is in the place of an address for the meter of peers that have none.
const everyPeer = ""

// meterCheck is how often links that are quiet are looked at.
const meterCheck = time.Minute

// metering is the part of a link that counts its bytes.
type metering struct {
	account atomic.Pointer[account] // nil: the link is unmetered
	watched bool                    // guarded by the mesh's mu
	counted chan uint64             // holds what was charged already
}

// setMeter has the links with the node at an address be metered, or not, from
// now on. Links that are up stay so. written is the account as it is on disk.
func (m *mesh) setMeter(address string, o *Meter, written []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		if l.account.Load() == nil {
			l.uncharged() // what it carried so far was free
		}
	}
	switch a := m.accounts[address]; {
	case o == nil:
		delete(m.accounts, address)
	case a != nil:
		a.set(*o)
	default:
		m.openAccount(address, *o, written)
	}
	m.classifyAll()
}

// openAccount adds the account of an address. The caller holds mu.
func (m *mesh) openAccount(address string, o Meter, written []byte) {
	save := func(value []byte) { m.saveAccount(address, value) }
	a := newAccount(address, o, written, m.uptime(), m.wall(), save)
	if d := m.dialers[address]; d != nil && !d.met().node.IsZero() {
		a.node = d.met().node
	}
	if a.node.IsZero() {
		a.node = m.book.at(address)
	}
	m.accounts[address] = a
}

func (m *mesh) saveAccount(address string, value []byte) {
	if err := m.setLocal(accountKey+address, value); err != nil {
		m.log.Warn("what a metered link used is not written down", "address", address, "error", err)
	}
}

// uptime is the clock of accounts, which nobody sets.
func (m *mesh) uptime() time.Duration { return time.Since(m.started) }

// accountOf returns the account of a link, or nil. It goes by the node at the
// other end: that stays when the peer starts again, or turns up at another
// address. Of a node that was met at several metered addresses it is the account
// of the one where this instance was dialed. The caller holds mu.
func (m *mesh) accountOf(conn transport.Link) *account {
	var all []*account
	for _, a := range m.accounts {
		if a.met() == conn.Peer().Node {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return m.accounts[everyPeer]
	}
	apart := func(a *account) int {
		if d := m.dialers[a.address]; d != nil && d.met() == remoteOf(conn) {
			return 0
		}
		return 1
	}
	return slices.MinFunc(all, func(a, b *account) int {
		return cmp.Or(cmp.Compare(apart(a), apart(b)), cmp.Compare(a.address, b.address))
	})
}

// metAt takes note of who is at an address that is dialed, and writes it down
// if the address is metered: whatever link that node has is.
func (m *mesh) metAt(address string, node crdt.NodeID) {
	m.mu.Lock()
	a := m.accounts[address]
	news := a != nil && a.meet(node)
	m.classifyAll() // it may be another instance of a node that is at more addresses
	m.mu.Unlock()
	if news {
		a.close(m.uptime(), m.wall())
	}
}

// classify gives a link the account of whom it is with. The caller holds mu.
func (m *mesh) classify(l *link) {
	a := m.accountOf(l.conn)
	l.account.Store(a)
	if a != nil && !l.watched {
		l.watched = true
		m.running.Go(func() { m.watchMeter(l) })
	}
}

// classifyAll classifies all links, and tells the machine, to which a class that
// stays is no news. The caller holds mu.
func (m *mesh) classifyAll() {
	for _, l := range inOrder(m.links) {
		m.classify(l)
		m.inbox.post(protocol.Metered{Link: l.id, Class: l.account.Load().class()})
	}
}

// charge counts what went over a link since the last time, and tells the
// machine if that changes what may flow.
func (m *mesh) charge(l *link) {
	a := l.account.Load()
	if a == nil {
		return
	}
	if !a.charge(l.uncharged(), m.uptime(), m.wall()) {
		return
	}
	m.mu.Lock()
	class := a.class() // within mu, so that the last that is posted holds
	for _, o := range inOrder(m.links) {
		if o.account.Load() == a {
			m.inbox.post(protocol.Metered{Link: o.id, Class: class})
		}
	}
	m.mu.Unlock()
	m.log.Info("metered links", "address", a.address, "used", class.Used, "of", class.BytesPerDay, "flows", class.Flows())
}

// uncharged returns how many bytes went over the link since it was called last.
func (l *link) uncharged() uint64 {
	before := <-l.counted
	stats := l.conn.Stats()
	total := max(before, stats.BytesSent+stats.BytesReceived)
	l.counted <- total
	return total - before
}

// watchMeter charges a link that is quiet, for as long as it is up.
func (m *mesh) watchMeter(l *link) {
	ticker := time.NewTicker(meterCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.charge(l)
		case <-l.ctx.Done():
			return
		}
	}
}

// flushMeter writes down what an address used, if it is metered.
func (m *mesh) flushMeter(address string) {
	m.mu.Lock()
	a := m.accounts[address]
	m.mu.Unlock()
	if a != nil {
		a.close(m.uptime(), m.wall())
	}
}

// closeMeters writes down what was used.
func (m *mesh) closeMeters() {
	m.mu.Lock()
	all := slices.Collect(maps.Values(m.accounts))
	m.mu.Unlock()
	for _, a := range all {
		a.close(m.uptime(), m.wall())
	}
}

// describeMeters adds to the status of peers how their meters stand.
func (m *mesh) describeMeters(all []PeerStatus, namespaces []string, priority func(string) (Priority, error)) error {
	m.mu.Lock()
	accounts := maps.Clone(m.accounts)
	m.mu.Unlock()
	for i := range all {
		p := &all[i]
		if p.Connected.IsZero() { // else its link's is there
			a := accounts[p.Address]
			if a == nil {
				a = accounts[everyPeer]
			}
			p.Meter = a.status(m.uptime())
		}
		if p.Meter == nil {
			continue
		}
		if err := p.Meter.hold(namespaces, priority); err != nil {
			return err
		}
	}
	return nil
}
