package replica

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// digestRun is the digest of a namespace that was taken last, or is.
type digestRun struct {
	hash  crdt.VectorHash
	began time.Time
	jobs  []protocol.JobID // that wait for it
	known bool
	sum   [32]byte
}

const (
	// minDigestGap is the least from one digest that peers ask for to the
	// next: a hub has many peers, each at another vector by the minute.
	minDigestGap = 10 * time.Minute
	// digestStep is how many records are read between rests, which are three
	// times as long: at the most a quarter of a core, for some milliseconds.
	digestStep = 1 << 10
)

var (
	errPassed = errors.New("the namespace is at another vector")
	errRecent = errors.New("there was a digest not long ago")
)

// takeDigest takes a digest beside the machine, unless it is known.
func (m *mesh) takeDigest(e protocol.TakeDigest) {
	ns := e.Namespace.(*store.Namespace)
	at := m.digests[ns]
	fail := func(err error) { m.inbox.post(protocol.Digested{Job: e.Job, Err: err}) }
	switch {
	case at != nil && at.hash == e.Hash && at.known:
		m.inbox.post(protocol.Digested{Job: e.Job, Sum: at.sum})
		return
	case at != nil && at.hash == e.Hash:
		at.jobs = append(at.jobs, e.Job)
		return
	case at != nil && (!at.known || e.Asked && time.Since(at.began) < minDigestGap):
		fail(errRecent)
		return
	}
	snap, err := ns.Snapshot()
	if err == nil && snap.Past().Normal().Hash() != e.Hash {
		err = errors.Join(errPassed, snap.Close())
	}
	if err != nil {
		fail(err)
		return
	}
	at = &digestRun{hash: e.Hash, began: time.Now(), jobs: []protocol.JobID{e.Job}}
	m.digests[ns] = at
	m.running.Go(func() {
		sum, err := m.digest(snap)
		m.inbox.ask(func() { m.digested(ns, at, sum, err) })
	})
}

// digest reads a snapshot, at leisure, and closes it.
func (m *mesh) digest(snap *store.Snapshot) (sum [32]byte, err error) {
	defer snap.Close()
	began := time.Now()
	return protocol.ContentDigest(scanner{m.ctx, snap}, digestStep, func() error {
		pause := time.NewTimer(3 * time.Since(began))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-m.ctx.Done():
			return m.ctx.Err()
		}
		began = time.Now()
		return nil
	})
}

// digested gives a digest to those who wait for it.
func (m *mesh) digested(ns *store.Namespace, at *digestRun, sum [32]byte, err error) {
	at.known, at.sum = true, sum
	if err != nil && m.digests[ns] == at {
		delete(m.digests, ns)
	}
	for _, job := range at.jobs {
		m.step(protocol.Digested{Job: job, Sum: sum, Err: err})
	}
	at.jobs = nil
}

// compared takes note of what a comparison of digests found. If they differ,
// the store is checked: one that is damaged reports itself, and is withdrawn.
func (m *mesh) compared(e protocol.Compared) {
	l := m.link(e.Link)
	if l == nil {
		return
	}
	name := e.Namespace.Name()
	m.divergences.note(name, l.peer, !e.Same)
	if e.Same {
		return
	}
	text := "a peer covers the same transactions and holds other values: the store is checked, and what the peer holds is added"
	m.log.Warn(text, "namespace", name, "peer", l.peer.Short())
	m.notices.add(Notice{Kind: NoticeDiverged, Namespace: name, Node: l.peer, Text: text})
	m.checkFor(suspicion{e.Link, e.Namespace.(*store.Namespace)})
}

// offer offers a snapshot whose contents the peer compares with its own.
func (m *mesh) offer(e protocol.Offer) {
	l := m.link(e.Link)
	if l == nil {
		return
	}
	ns := e.Namespace.(*store.Namespace)
	one := &offer{run: uint64(e.Job), contents: true}
	l.offers.add(ns, one) // at once: an EndServe may come before the snapshot
	m.running.Go(func() {
		if err := m.fillOffer(l, e, one); err != nil {
			l.offers.end(ns, one.run)
			m.log.Warn("no snapshot was offered", "namespace", ns.Name(), "peer", l.peer.Short(), "error", err)
		}
	})
}

// fillOffer takes the snapshot of an offer, and tells the peer once it is on
// disk, unless the offer has ended.
func (m *mesh) fillOffer(l *link, e protocol.Offer, one *offer) error {
	snap, err := e.Namespace.(*store.Namespace).Snapshot()
	if err != nil {
		return err
	}
	vector := snap.Past().Normal()
	if err = snap.WaitDurable(l.ctx); err == nil && len(vector) > protocol.MaxEntriesPerFrame {
		err = fmt.Errorf("a vector of %d entries", len(vector))
	}
	if err != nil {
		return errors.Join(err, snap.Close())
	}
	if l.offers.fill(one, snap) {
		m.send(l.id, e.Lane, protocol.EncodeOffer(e, vector))
	}
	return nil
}

// heal is a comparison of contents with what a peer offers.
type heal struct {
	snap    *store.Snapshot // of this node
	found   []crdt.Entry    // what the peer holds, and is not added yet
	changed int
}

// healKeys is how many records are healed at a time, while commits wait.
const healKeys = 256

// errBelowFloor says that what a peer holds may have been removed here, and
// that nothing tells of it any more (store.Namespace.Heal).
var errBelowFloor = errors.New("the peer does not cover what was collected here")

// beginHeal sums up what is here, to be compared with a snapshot of that vector.
func (a *applier) beginHeal(theirs crdt.Vector) (err error) {
	r := &a.rejoin
	snap, err := a.store.Snapshot()
	if err != nil {
		return err
	}
	r.heal = &heal{snap: snap}
	if !a.store.Past(theirs).CoversAll(snap.Floor()) {
		return errBelowFloor
	}
	summary, err := protocol.NewContentSummary(scanner{a.mesh.ctx, snap})
	if err == nil {
		r.comparer, err = protocol.NewComparer(summary, "")
	}
	return err
}

// healWith takes what the peer holds at a key.
func (a *applier) healWith(e crdt.Entry) error {
	h := a.rejoin.heal
	if len(e.Record) == 0 {
		return nil // it holds nothing, and comes for what is here
	}
	h.found = append(h.found, crdt.Entry{Key: crdt.Key(string([]byte(e.Key))), Record: e.Record.Clone()})
	if len(h.found) < healKeys {
		return nil
	}
	return a.healFound()
}

func (a *applier) healFound() error {
	h := a.rejoin.heal
	changed, err := a.store.Heal(h.found, a.rejoin.begun.Vector)
	h.found, h.changed = nil, h.changed+changed
	if changed > 0 { // also if it breaks off, and the machine hears no more of it
		a.mesh.inbox.ask(func() { delete(a.mesh.digests, a.store) })
	}
	return err
}

// healed tells what came of it.
func (a *applier) healed(h *heal, e *protocol.Reconcile) {
	m := a.mesh
	l := m.link(e.Link)
	if l == nil || h.changed == 0 {
		return
	}
	text := fmt.Sprintf("%d records were healed by what the peer holds", h.changed)
	m.log.Warn(text, "namespace", a.store.Name(), "peer", l.peer.Short())
	m.notices.add(Notice{Kind: NoticeHealed, Namespace: a.store.Name(), Node: l.peer, Text: text})
}

// maxDiverged bounds the peers that are remembered to differ in a namespace:
// more than an operator looks into, and a fleet that lies fills no memory.
const maxDiverged = 64

// divergences are the peers with which a namespace was found to differ, and
// not found to agree since. Safe for concurrent use.
type divergences struct {
	mu  sync.Mutex
	all map[string][]crdt.NodeID
}

func (d *divergences) note(namespace string, peer crdt.NodeID, differs bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string][]crdt.NodeID{}
	}
	known := slices.DeleteFunc(d.all[namespace], func(n crdt.NodeID) bool { return n == peer })
	if differs && len(known) < maxDiverged {
		known = append(known, peer)
	}
	d.all[namespace] = known
}

func (d *divergences) of(namespace string) []crdt.NodeID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.all[namespace])
}

func (d *divergences) forget(namespace string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, namespace)
}
