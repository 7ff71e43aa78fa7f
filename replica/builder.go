package replica

import (
	"context"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// outgoing is a delta that is sent: what changed since a vector, of a snapshot
// that is on disk.
type outgoing struct {
	snap   *store.Snapshot // nil once it is closed, or kept by another
	number uint64          // its commit

	vector, to crdt.Vector // the snapshot's: expanded, and in normal form
	floor      crdt.Vector
	base       crdt.Vector // what it is built from
	brings     crdt.Vector
	withheld   bool // nothing is sent
	offer      bool // the snapshot is offered in its place
}

// build sends a delta on a link, and returns how that went. It is the n-th that
// was begun.
func (m *mesh) build(ctx context.Context, l *link, b protocol.Build, n uint64) protocol.Built {
	select { // in turn: who came first waits no longer than those before take
	case m.builds <- struct{}{}:
		defer func() { <-m.builds }()
	case <-ctx.Done():
		return protocol.Built{Job: b.Job, Err: ctx.Err()}
	}
	built, err := m.buildOrShare(ctx, l, b, n)
	if err != nil {
		err = fmt.Errorf("delta of namespace %q: %w", b.Namespace.Name(), err)
	}
	built.Job, built.Err = b.Job, err
	return built
}

// buildOrShare sends a delta that another build has made, or makes it.
func (m *mesh) buildOrShare(ctx context.Context, l *link, b protocol.Build, n uint64) (protocol.Built, error) {
	var d *sharedDelta
	mine, err := false, error(nil)
	if m.linkCount() > 1 { // else there is nobody to share with
		if d, mine, err = m.fanout.claim(ctx, b, n); err != nil {
			return protocol.Built{}, err
		}
	}
	if d != nil && !mine {
		return m.sendOut(ctx, l, b, &d.outgoing, d.made)
	}
	o, err := prepare(ctx, b)
	if o != nil {
		defer o.close()
	}
	var made *protocol.Encoding
	if mine {
		made, err = m.fanout.make(d, o, err)
	}
	if err != nil {
		return protocol.Built{}, err
	}
	return m.sendOut(ctx, l, b, o, made)
}

// prepare takes a snapshot for a delta, and waits until it is on disk: nothing
// is sent before.
func prepare(ctx context.Context, b protocol.Build) (*outgoing, error) {
	ns := b.Namespace.(*store.Namespace)
	snap, err := ns.Snapshot()
	if err != nil {
		return nil, err
	}
	o := &outgoing{snap: snap, number: snap.Number(), vector: snap.Vector(), floor: snap.Floor()}
	if err := snap.WaitDurable(ctx); err != nil {
		return o, err
	}
	o.to = ns.Normalize(o.vector)
	var ok bool
	o.base, o.brings, ok = b.Base(o.vector, o.floor)
	if o.withheld = !ok; ok {
		o.offer, err = wantsOffer(b, snap, o.vector)
	}
	return o, err
}

func (o *outgoing) close() {
	if o.snap != nil {
		o.snap.Close()
		o.snap = nil
	}
}

// sendOut sends a delta: made of it, if it was encoded already.
func (m *mesh) sendOut(ctx context.Context, l *link, b protocol.Build, o *outgoing, made *protocol.Encoding) (built protocol.Built, err error) {
	built.To, built.Floor = o.to, o.floor
	if built.Withheld = o.withheld; o.withheld {
		return built, nil
	}
	ns := b.Namespace.(*store.Namespace)
	send := m.sender(ctx, l)
	news := protocol.Unintroduced(ns.Since(o.vector, b.From), b.Introduced)
	if built.Introduced, err = m.introduce(b.Number, news, send); err != nil {
		return built, err
	}
	if o.offer {
		l.offers.add(ns, uint64(b.Job), o.snap)
		o.snap, built.Offered = nil, true
		return built, send(protocol.EncodeSource(b, o.to, o.floor))
	}
	if made == nil {
		return built, o.stream(b, send)
	}
	for head, rest := range made.Frames(b, o.brings, o.to, o.floor) {
		if err := m.sendParts(ctx, l, head, rest); err != nil {
			return built, err
		}
	}
	return built, nil
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

// stream sends the records as they are read.
func (o *outgoing) stream(b protocol.Build, send func(protocol.Frame) error) error {
	enc := protocol.NewDeltaEncoder(b, send)
	enc.Bring(o.brings)
	for e, err := range o.snap.Changes(o.base) {
		if err != nil {
			return err
		}
		if err := enc.Add(e); err != nil {
			return err
		}
	}
	return enc.Finish(o.to, o.floor)
}

// encode returns the records encoded, or nil if they are too many to keep.
func (o *outgoing) encode() (*protocol.Encoding, error) {
	made := protocol.NewEncoding()
	for e, err := range o.snap.Changes(o.base) {
		if err != nil {
			return nil, err
		}
		if err := made.Add(e); err != nil {
			return nil, err
		}
		if made.Bytes() > sharedBytes {
			return nil, nil
		}
	}
	made.Complete()
	return made, nil
}
