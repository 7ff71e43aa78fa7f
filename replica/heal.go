package replica

import (
	"errors"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

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
