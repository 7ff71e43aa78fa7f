package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// report is called by the store about what an operator should know. It may be
// called with the store's locks held, so it neither blocks nor calls back.
func (d *DB) report(r store.Report) {
	attrs := []any{"error", r.Err}
	if r.Namespace != "" {
		attrs = append(attrs, "namespace", r.Namespace)
	}
	if !r.Node.IsZero() {
		attrs = append(attrs, "node", r.Node.Short())
	}
	d.log.Warn("store", attrs...)
	n := Notice{Kind: NoticeFault, Namespace: r.Namespace, Node: r.Node, Text: r.Err.Error(), Err: r.Err}
	switch {
	case errors.Is(r.Err, store.ErrTwin):
		n.Kind = NoticeTwin
		d.twins.Add(1)
	case errors.Is(r.Err, store.ErrSkew):
		n.Kind = NoticeSkew
	case errors.Is(r.Err, ErrDamaged):
		n.Kind = NoticeDamaged
		d.quarantine()
	}
	d.notices.add(n)
}

// quarantine ends all sync for the rest of the run: of a damaged store no
// vector can be trusted, and what it covers and lacks would spread as removed.
func (d *DB) quarantine() {
	select {
	case <-d.entered:
		d.mesh.quarantine()
	default: // enterNetwork will look
	}
}

// quarantine withdraws all namespaces, and announces none any more.
func (m *mesh) quarantine() {
	m.inbox.ask(func() {
		if m.quarantined {
			return
		}
		m.quarantined = true
		m.log.Warn("the store is damaged: nothing is synced any more")
		var names []string
		for ns := range m.appliers {
			names = append(names, ns.Name())
		}
		slices.Sort(names)
		for _, name := range names {
			m.step(protocol.Closed{Namespace: name})
		}
	})
}

// reportAhead tells the operator that this store lost what a peer still has.
// Nothing is broken: it comes back as the state of others does. What has been
// said is not said again, over whichever link it comes.
func (m *mesh) reportAhead(e protocol.Ahead) {
	ns := e.Namespace.(*store.Namespace)
	own := ns.Durable()
	news := m.losses.add(ns.Name(), own, e.Entries, m.notices.now())
	if len(news) == 0 {
		return
	}
	var lacking uint64
	for _, d := range news {
		lacking += d.Seq - min(d.Seq, own.Seq(d.Writer))
	}
	text := "a peer has transactions of this node that its store lacks: it lost its tail, was restored, or runs twice; they are fetched"
	m.log.Warn(text, "namespace", ns.Name(), "peer", e.Peer.Short(), "writers", len(news), "transactions", lacking)
	m.notices.add(Notice{
		Kind: NoticeLost, Namespace: ns.Name(), Node: e.Peer, Writers: news,
		Text: fmt.Sprintf("%s (%d transactions of %d writers)", text, lacking, len(news)),
	})
}
