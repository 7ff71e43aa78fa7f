package replica

import (
	"context"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// build sends a delta of one snapshot on a link, and returns how that went.
// Nothing is sent before it is on disk here.
func (m *mesh) build(ctx context.Context, l *link, b protocol.Build) protocol.Built {
	built := protocol.Built{Job: b.Job}
	select { // in turn: who came first waits no longer than those before take
	case m.builds <- struct{}{}:
		defer func() { <-m.builds }()
	case <-ctx.Done():
		built.Err = ctx.Err()
		return built
	}
	ns := b.Namespace.(*store.Namespace)
	snap, err := ns.Snapshot()
	if err != nil {
		built.Err = err
		return built
	}
	kept := false
	defer func() {
		if !kept {
			snap.Close()
		}
	}()
	if built.Err = snap.WaitDurable(ctx); built.Err != nil {
		return built
	}
	vector := snap.Vector()
	built.To, built.Floor = ns.Normalize(vector), snap.Floor()
	base, brings, ok := b.Base(vector, built.Floor)
	if built.Withheld = !ok; !ok {
		return built
	}
	offer, err := wantsOffer(b, snap, vector)
	if built.Err = err; err != nil {
		return built
	}
	send := m.sender(ctx, l)
	news := protocol.Unintroduced(ns.Since(vector, b.From), b.Introduced)
	if built.Introduced, built.Err = m.introduce(b.Number, news, send); built.Err != nil {
		return built
	}
	if offer {
		kept, built.Offered = true, true
		l.offers.add(ns, uint64(b.Job), snap)
		built.Err = send(protocol.EncodeSource(b, built.To, built.Floor))
		return built
	}
	if built.Err = sendDelta(snap, b, base, brings, built.To, send); built.Err != nil {
		built.Err = fmt.Errorf("delta of namespace %q: %w", ns.Name(), built.Err)
	}
	return built
}

// introduce sends writer records, and returns whose were sent.
func (m *mesh) introduce(number uint64, news []*crdt.WriterRecord, send func(protocol.Frame) error) ([]crdt.WriterID, error) {
	for f := range protocol.EncodeWriters(number, news, m.roster.certificate) {
		if err := send(f); err != nil {
			return nil, err
		}
	}
	var sent []crdt.WriterID
	for _, rec := range news {
		sent = append(sent, rec.Writer)
	}
	return sent, nil
}

// sendDelta sends what changed since base.
func sendDelta(snap *store.Snapshot, b protocol.Build, base, brings, to crdt.Vector, send func(protocol.Frame) error) error {
	enc := protocol.NewDeltaEncoder(b, send)
	enc.Bring(brings)
	for e, err := range snap.Changes(base) {
		if err != nil {
			return err
		}
		if err := enc.Add(e); err != nil {
			return err
		}
	}
	return enc.Finish(to, snap.Floor())
}
