package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// outgoing is a delta that is sent: what changed since a vector, of a snapshot
// that is on disk.
type outgoing struct {
	snap   *store.Snapshot // nil once it is closed, or kept by another
	number uint64          // its commit

	past      *crdt.Past  // of the snapshot
	to, floor crdt.Vector // of the snapshot, in normal form
	base      *crdt.Past  // what it is built from
	brings    crdt.Vector
	withheld  bool // nothing is sent
	offer     bool // the snapshot is offered in its place
}

// build sends a delta on a link, and returns how that went. It is the n-th that
// was begun.
func (m *mesh) build(ctx context.Context, l *link, b protocol.Build, n uint64) protocol.Built {
	if err := m.turns.take(ctx); err != nil {
		return protocol.Built{Job: b.Job, Err: err}
	}
	defer m.turns.give()
	built, err := m.buildOrShare(ctx, l, b, n)
	switch {
	case err == nil && !built.Offered && !built.Withheld:
		m.breaks.note(breachOf(l, b), false)
	case built.Offered, err != nil && l.ctx.Err() != nil: // what an offer has brought is kept if it breaks off
		m.breaks.note(breachOf(l, b), true)
	}
	if err != nil {
		err = fmt.Errorf("delta of namespace %q: %w", b.Namespace.Name(), err)
	}
	built.Job, built.Err = b.Job, err
	return built
}

func breachOf(l *link, b protocol.Build) breach { return breach{l.peer, b.Namespace.Name()} }

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
	o, err := prepare(ctx, b, m.breaks.has(breachOf(l, b)))
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
// is sent before. broke is as in wantsOffer.
func prepare(ctx context.Context, b protocol.Build, broke bool) (*outgoing, error) {
	ns := b.Namespace.(*store.Namespace)
	snap, err := ns.Snapshot()
	if err != nil {
		return nil, err
	}
	o := &outgoing{snap: snap, number: snap.Number(), past: snap.Past(), floor: snap.Floor()}
	if err := snap.WaitDurable(ctx); err != nil {
		return o, err
	}
	o.to = o.past.Normal()
	var ok bool
	o.base, o.brings, ok = b.Base(o.past, o.floor)
	if o.withheld = !ok; ok {
		o.offer, err = wantsOffer(b, snap, o.past, broke)
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
	send := m.sender(ctx, l, b.Lane)
	news := protocol.Unintroduced(o.past.Since(b.From), b.Introduced)
	if err := m.introduce(ns, b.Number, news, send); err != nil {
		return built, err
	}
	built.Introduced = news
	if o.offer {
		run := uint64(b.Job)
		l.offers.add(ns, &offer{run: run, snap: o.snap})
		o.snap = nil
		if err := send(protocol.EncodeSource(b, o.to, o.floor)); err != nil {
			l.offers.end(ns, run)
			return built, err
		}
		built.Offered = true
		return built, nil
	}
	if made == nil {
		built.Sent, err = o.stream(b, send)
		return built, err
	}
	for head, rest := range made.Frames(b, o.brings, o.to, o.floor) {
		if err := m.sendParts(ctx, l, b.Lane, head, rest); err != nil {
			return built, err
		}
	}
	built.Sent = made.Sent(b, o.brings, o.to, o.floor)
	return built, nil
}

// introducedAtOnce bounds the writer records that are held in memory: 256 KiB.
const introducedAtOnce = 1 << 10

// introduce sends the records of writers.
func (m *mesh) introduce(ns *store.Namespace, number uint64, writers []crdt.WriterID, send func(protocol.Frame) error) error {
	for some := range slices.Chunk(writers, introducedAtOnce) {
		frames, err := m.introduction(ns, number, some)
		if err != nil {
			return err
		}
		for _, f := range frames {
			if err := send(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// introduction reads the records of writers, and returns them as frames.
func (m *mesh) introduction(ns *store.Namespace, number uint64, writers []crdt.WriterID) ([]protocol.Frame, error) {
	records, err := ns.WriterRecords(writers)
	if err != nil {
		return nil, err
	}
	return slices.Collect(protocol.EncodeWriters(number, records, m.roster.certificate)), nil
}

// queueIntroduction queues the frames of an Introduce, which are read when they
// are due: the disk does not hold up the loop.
func (m *mesh) queueIntroduction(e protocol.Introduce) {
	l := m.link(e.Link)
	if l == nil {
		return
	}
	for some := range slices.Chunk(e.Writers, introducedAtOnce) {
		l.outlet.queueLoad(e.Lane, len(some)*len(crdt.WriterID{}), func() ([]protocol.Frame, error) {
			return m.loadIntroduction(l, e, some)
		})
	}
}

// loadIntroduction reads a part of an Introduce. Without it the peer would refuse
// what comes behind, so the link is closed if it cannot be read. Of a namespace
// that was dropped nothing is said any more but that it is gone.
func (m *mesh) loadIntroduction(l *link, e protocol.Introduce, writers []crdt.WriterID) ([]protocol.Frame, error) {
	ns := e.Namespace.(*store.Namespace)
	frames, err := m.introduction(ns, e.Number, writers)
	if err == nil || errors.Is(err, ErrNoNamespace) || errors.Is(err, ErrClosed) {
		return frames, nil
	}
	m.log.Warn("closing a link: writer records cannot be read", "namespace", ns.Name(), "error", err)
	_ = l.conn.Close(transport.CodeInternal, "a part of a namespace cannot be read")
	return nil, err
}

// stream sends the records as they are read.
func (o *outgoing) stream(b protocol.Build, send func(protocol.Frame) error) (protocol.Sent, error) {
	enc := protocol.NewDeltaEncoder(b, send)
	enc.Bring(o.brings)
	for e, err := range o.snap.Changes(o.base) {
		if err != nil {
			return protocol.Sent{}, err
		}
		if err := enc.Add(e); err != nil {
			return protocol.Sent{}, err
		}
	}
	err := enc.Finish(o.to, o.floor)
	return enc.Sent(), err
}

// encode returns the records encoded, in columns or in rows, or nil if they are too many to keep.
func (o *outgoing) encode(columns bool) (*protocol.Encoding, error) {
	made := protocol.NewEncoding(columns)
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
