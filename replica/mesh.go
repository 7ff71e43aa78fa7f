package replica

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// mesh is the networked half of a database: its links, and the protocol
// machine that one goroutine steps. What happens anywhere is posted to that
// goroutine as an event; what is to be done comes out of the machine as
// effects, and either is done at once, without blocking, or is a job of a
// goroutine of its own that posts an event at its end.
type mesh struct {
	network     transport.Network
	roster      *roster
	log         *slog.Logger
	notices     *notices
	losses      *losses
	divergences *divergences
	clocks      *clocks
	started     time.Time // the machine's clock counts from here, monotonically

	ctx     context.Context // ends when the mesh closes
	cancel  context.CancelFunc
	running sync.WaitGroup
	crew    *crew // of builds and senders
	fanout  fanout
	breaks  breaks
	turns   *turns // of peers that catch up

	// Of the loop's goroutine alone.
	machine  *protocol.Machine
	appliers map[*store.Namespace]*applier
	jobs     map[protocol.JobID]context.CancelFunc // builds that run
	timer    *time.Timer

	digests     map[*store.Namespace]*digestRun
	checks      checks
	quarantined bool // the store is damaged: no namespace is announced

	book      *book
	moves     chan struct{}     // of capacity 1: the network has changed, for discover
	told      map[remote]told   // by the loop
	seen      map[remote]string // where peers see this node; under mu
	meshLinks int               // from how many on none are sought
	seeking   int               // candidates that are tried now; under mu

	inbox       inbox
	linkBytes   int64 // may be received on one link, and not be applied yet
	revocations revocationQueue

	mu       sync.Mutex
	links    map[protocol.LinkID]*link
	lastID   protocol.LinkID
	dialers  map[string]*dialer
	accounts map[string]*account // by address; of everyPeer, those without
	setLocal func(key string, value []byte) error
	wall     func() time.Time
	offline  bool
	changed  chan struct{} // closed, and replaced, when links or offline change
	totals   transport.LinkStats
}

// newMesh returns a mesh over a network, which it closes.
func newMesh(network transport.Network, d *DB) *mesh {
	roster := d.roster
	m := &mesh{
		network: network, roster: roster, log: d.log, started: time.Now(),
		notices: &d.notices, losses: &d.losses, divergences: &d.divergences,
		digests: map[*store.Namespace]*digestRun{}, clocks: d.clocks,
		turns: newTurns(),
		machine: protocol.New(protocol.Config{
			Node: d.node, Instance: protocol.Instance(network.Instance()), Cluster: roster.cluster(), Revocations: roster.revocations(),
			Features: []protocol.Feature{
				protocol.FeatureReconcile, protocol.FeatureAddresses, protocol.FeatureClocks, protocol.FeatureDigest, protocol.FeatureSpare, protocol.FeaturePut,
				protocol.FeatureColumns,
			},
		}),
		appliers: map[*store.Namespace]*applier{},
		jobs:     map[protocol.JobID]context.CancelFunc{},
		links:    map[protocol.LinkID]*link{},
		dialers:  map[string]*dialer{},
		accounts: map[string]*account{}, setLocal: d.store.SetLocal, wall: d.options.Now,
		changed: make(chan struct{}),
		moves:   make(chan struct{}, 1),
		book:    newBook(d.node, network.Addr()),
		told:    map[remote]told{}, seen: map[remote]string{}, meshLinks: d.options.MeshLinks,

		linkBytes:   profiles[d.options.Profile].linkBytes,
		revocations: make(revocationQueue, revocationPlaces),
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.crew = newCrew(m.ctx, &m.running)
	m.inbox.ready = make(chan struct{}, 1)
	m.timer = time.AfterFunc(time.Hour, func() { m.inbox.post(protocol.Tick{}) })
	m.timer.Stop()
	return m
}

// start begins to sync the namespaces given.
func (m *mesh) start(namespaces []*store.Namespace) {
	for _, ns := range namespaces {
		m.opened(ns)
	}
	m.running.Go(m.loop)
	m.running.Go(m.accept)
	m.running.Go(m.learnRevocations)
	m.running.Go(m.keepBook)
}

// close ends all links, and returns when nothing of the mesh runs any more.
func (m *mesh) close() error {
	m.mu.Lock()
	m.cancel() // nothing more begins to run
	m.mu.Unlock()
	err := m.network.Close()
	m.running.Wait()
	m.timer.Stop()
	m.closeMeters()
	return err
}

// opened says that a namespace is here.
func (m *mesh) opened(ns *store.Namespace) {
	m.inbox.post(protocol.Opened{Namespace: ns, Durable: ns.Durable()})
}

// dropping says that a namespace is about to go.
func (m *mesh) dropping(ns *store.Namespace) {
	m.inbox.post(protocol.Closed{Namespace: ns.Name()})
}

// durable says that more of a namespace has become durable. It never blocks.
func (m *mesh) durable(ns *store.Namespace) { m.inbox.mark(ns) }

// now is the machine's clock, which begins at 1.
func (m *mesh) now() int64 { return time.Since(m.started).Milliseconds() + 1 }

// accept takes the links that peers dial.
func (m *mesh) accept() {
	for {
		conn, err := m.network.Accept(m.ctx)
		if err != nil {
			return
		}
		m.attach(m.ctx, conn)
	}
}

// attach puts a link to use, or closes it if this node is offline, or if ctx
// has ended: that of the mesh, or of who dialed.
func (m *mesh) attach(ctx context.Context, conn transport.Link) *link {
	peer := conn.Peer()
	if m.roster.revoked(peer.Node) {
		_ = conn.Close(transport.CodeRevoked, "")
		return nil
	}
	if err := m.roster.met(peer); err != nil {
		m.log.Warn("a peer's certificate is not kept", "peer", peer.Node.Short(), "error", err)
	}
	l := m.admit(ctx, conn)
	if l == nil {
		_ = conn.Close(transport.CodeGoingAway, "offline")
		return nil
	}
	if cert := peer.Certificate(); cert != nil { // there is one, and it was accepted
		if err := peer.ValidAt(time.UnixMilli(m.clocks.wall())); err != nil {
			m.log.Warn("linked with a certificate that is not valid at this time", "error", err)
		}
	}
	m.log.Info("link up", "peer", peer.Node.Short(), "address", conn.RemoteAddr(), "dialed", conn.Dialed())
	if conn.Dialed() {
		m.meet(l, protocol.KnowsDialed)
	} else {
		m.book.welcome(peer.Node)
	}
	return l
}

// admit starts a link, unless there is to be none.
func (m *mesh) admit(ctx context.Context, conn transport.Link) *link {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.offline || ctx.Err() != nil {
		return nil
	}
	m.lastID++
	l := newLink(m, m.lastID, conn)
	m.beginSilence(l)
	if at := m.seen[l.remote()]; at != "" {
		l.seenAs.Store(&at)
	}
	m.classify(l)
	m.links[l.id] = l
	m.linksChanged()
	peer := conn.Peer()
	m.inbox.post(protocol.LinkUp{
		Link: l.id, Peer: peer.Node, Instance: protocol.Instance(l.instance), Dialed: conn.Dialed(),
		Grants: grants{peer.Grants}, Class: l.account.Load().class(),
	})
	l.start()
	return l
}

// detach forgets a link that has ended.
func (m *mesh) detach(l *link) {
	m.charge(l)
	m.mu.Lock()
	delete(m.links, l.id)
	addStats(&m.totals, l.conn.Stats())
	if end, ok := errors.AsType[*transport.CloseError](l.cause); ok && end.Remote && end.Code == transport.CodeRemoved {
		m.book.remove(l.peer, false)
	}
	m.linksChanged()
	m.mu.Unlock()
	m.log.Info("link down", "peer", l.peer.Short(), "cause", l.cause)
}

// linksChanged wakes whoever waits on changed. The caller holds mu.
func (m *mesh) linksChanged() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *mesh) linkCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.links)
}

// link returns a link that is up, or nil.
func (m *mesh) link(id protocol.LinkID) *link {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.links[id]
}

// setOffline closes every link and makes none, until it is called with false.
func (m *mesh) setOffline(offline bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.offline == offline {
		return
	}
	m.offline = offline
	if offline {
		for _, l := range inOrder(m.links) {
			_ = l.conn.Close(transport.CodeGoingAway, "offline")
		}
	}
	m.linksChanged()
}

// traffic returns whether this node is offline, and what went over all links.
func (m *mesh) traffic() (offline bool, sum transport.LinkStats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum = m.totals
	for _, l := range m.links {
		addStats(&sum, l.conn.Stats())
	}
	return m.offline, sum
}

// grants says what a peer's certificate allows, in the machine's words.
type grants struct{ transport.Grants }

func (g grants) MayRead(namespace string) bool  { return g.CanRead(namespace) }
func (g grants) MayWrite(namespace string) bool { return g.CanWrite(namespace) }

// addStats adds what a link counted.
func addStats(sum *transport.LinkStats, s transport.LinkStats) {
	sum.FramesSent += s.FramesSent
	sum.FramesReceived += s.FramesReceived
	sum.FrameBytesSent += s.FrameBytesSent
	sum.FrameBytesReceived += s.FrameBytesReceived
	sum.BytesSent += s.BytesSent
	sum.BytesReceived += s.BytesReceived
}
