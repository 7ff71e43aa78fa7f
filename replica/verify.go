package replica

import (
	"errors"
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
