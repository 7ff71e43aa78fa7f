package replica

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// steppedBytes is how much there must be here for a peer that has nearly nothing
// of it to get it in steps, which go on where they broke off, and not as one
// delta, which is sent again from the start: about a second of a slow link.
const steppedBytes = 1 << 20

// steppedKeys is the same in keys, for a peer that has more than a tenth of all
// transactions, and not more keys than it lacks: to compare what it has costs
// some 9 bytes a key, which is not a tenth of what a key that it lacks does.
const steppedKeys = 1 << 13

var (
	errNoFloors = errors.New("removals were collected here, and the peer's release knows nothing of that")
	errNoOffer  = errors.New("the snapshot that was offered is gone")
)

// wantsOffer reports whether what a peer lacks is to be offered as a snapshot.
func wantsOffer(b protocol.Build, snap *store.Snapshot, past *crdt.Past) (bool, error) {
	floor := snap.Floor()
	switch {
	case !b.Reconciles && len(floor) > 0:
		return false, errNoFloors
	case !b.Reconciles:
		return false, nil
	case !b.From.Empty() && !b.From.CoversAll(floor):
		return true, nil
	}
	all, lacking := past.Transactions(), uint64(0)
	for _, v := range past.Beyond(b.From) {
		lacking += v.Last - v.After
	}
	if lacking > all-all/10 {
		return snap.Reaches(steppedBytes)
	}
	return snap.LacksMost(b.From, steppedKeys)
}

// offers are the snapshots that a link's peer may compare with, one for each
// namespace.
type offers struct {
	mu    sync.Mutex
	open  map[*store.Namespace]*offer
	ended bool
}

// offer is one of them. Its summary is made when it is first asked for.
type offer struct {
	run      uint64
	snap     *store.Snapshot
	summary  *protocol.Summary
	contents bool // it is compared by contents
	busy     bool // a compare is being answered
	ended    bool
}

func newOffer(run uint64, snap *store.Snapshot) *offer { return &offer{run: run, snap: snap} }

// add takes over a snapshot; the one before it ends.
func (o *offers) add(ns *store.Namespace, one *offer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		one.snap.Close()
		return
	}
	if o.open == nil {
		o.open = map[*store.Namespace]*offer{}
	}
	o.endLocked(ns)
	o.open[ns] = one
}

// take returns the snapshot of a run, for one that answers; nil if it is gone.
func (o *offers) take(ns *store.Namespace, run uint64) *offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.open[ns]
	if at == nil || at.run != run || at.busy {
		return nil
	}
	at.busy = true
	return at
}

// release gives it back.
func (o *offers) release(at *offer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at.busy = false
	if at.ended {
		at.snap.Close()
	}
}

func (o *offers) end(ns *store.Namespace) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.endLocked(ns)
}

func (o *offers) endLocked(ns *store.Namespace) {
	if at := o.open[ns]; at != nil {
		delete(o.open, ns)
		at.ended = true
		if !at.busy {
			at.snap.Close()
		}
	}
}

// endAll ends them; none is added any more.
func (o *offers) endAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	for ns := range o.open {
		o.endLocked(ns)
	}
}

// scanner reads a snapshot until ctx ends.
type scanner struct {
	ctx  context.Context
	view store.View
}

// Scan implements protocol.Scanner.
func (s scanner) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for e, err := range s.view.Scan(span) {
			if err == nil {
				err = s.ctx.Err()
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// startServe answers a compare beside the machine.
func (m *mesh) startServe(e protocol.Serve, release func()) (kept bool) {
	l := m.link(e.Link)
	if l == nil {
		return false // nobody waits for the answer
	}
	m.running.Go(func() {
		defer release()
		err := m.serve(l, e)
		if err != nil && l.ctx.Err() == nil {
			m.log.Warn("a compare was not answered", "namespace", e.Namespace.Name(), "peer", l.peer.Short(), "error", err)
		}
		m.inbox.post(protocol.Served{Job: e.Job, Err: err})
	})
	return true
}

func (m *mesh) serve(l *link, e protocol.Serve) error {
	ns := e.Namespace.(*store.Namespace)
	at := l.offers.take(ns, e.Run)
	if at == nil {
		return errNoOffer
	}
	defer l.offers.release(at)
	if err := m.turns.take(l.ctx); err != nil {
		return err
	}
	defer m.turns.give()
	if at.summary == nil {
		sumUp := protocol.NewSummary
		if at.contents {
			sumUp = protocol.NewContentSummary
		}
		var err error
		if at.summary, err = sumUp(scanner{l.ctx, at.snap}); err != nil {
			return fmt.Errorf("read namespace %q: %w", ns.Name(), err)
		}
	}
	return protocol.AnswerCompare(at.summary, e.Number, e.Run, e.Body, m.sender(l.ctx, l, e.Lane))
}

// sender returns what sends a frame on a link from within a turn,
// which others take while the peer does not read.
func (m *mesh) sender(ctx context.Context, l *link, at protocol.Lane) func(protocol.Frame) error {
	return func(f protocol.Frame) error { return m.sendParts(ctx, l, at, f, nil) }
}

func (m *mesh) sendParts(ctx context.Context, l *link, at protocol.Lane, f protocol.Frame, rest []byte) error {
	defer m.turns.lend()()
	return l.outlet.send(ctx, at, f, rest)
}
