package replica

import (
	"context"
	"errors"
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

// apartBytes is the same for a peer that has at least half as many transactions
// that are not here as it lacks. To compare the two finds nothing, takes 9 bytes a
// key and a scan at both ends, and has what comes go over the disk. So unless a
// delta to it broke off before, it is sent one: some seconds of a slow link.
const apartBytes = 8 << 20

var (
	errNoFloors = errors.New("removals were collected here, and the peer's release knows nothing of that")
	errNoOffer  = errors.New("the snapshot that was offered is gone")
)

// wantsOffer reports whether what a peer lacks is to be offered as a snapshot.
// broke says that a delta to it broke off, or that it was offered one before.
func wantsOffer(b protocol.Build, snap *store.Snapshot, past *crdt.Past, broke bool) (bool, error) {
	floor := snap.Floor()
	switch {
	case !b.Reconciles && len(floor) > 0:
		return false, errNoFloors
	case !b.Reconciles:
		return false, nil
	case !b.From.Empty() && !b.From.CoversAll(floor):
		return true, nil
	}
	all, lacking := past.Transactions(), beyond(past, b.From)
	if !broke && 2*beyond(b.From, past) >= lacking {
		if more, err := snap.Reaches(apartBytes); err != nil || !more {
			return false, err
		}
	}
	if lacking > all-all/10 {
		return snap.Reaches(steppedBytes)
	}
	return snap.LacksMost(b.From, steppedKeys)
}

// beyond returns how many transactions one past covers that another does not.
func beyond(past, other *crdt.Past) (n uint64) {
	for _, v := range past.Beyond(other) {
		n += v.Last - v.After
	}
	return n
}

// breaks are who lost the link while a delta went to them, or gets what is here in
// steps: so it does the next time. Safe for concurrent use; the zero value is ready.
type breaks struct {
	mu sync.Mutex
	of map[breach]struct{}
}

// breach names a peer and a namespace.
type breach struct {
	peer      crdt.NodeID
	namespace string
}

// maxBreaks bounds the breaks that are remembered: some 100 bytes each. What is
// forgotten costs that a delta is sent from its start once more.
const maxBreaks = 1 << 10

// has reports whether the last delta broke off, or was offered as a snapshot.
func (b *breaks) has(at breach) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, broke := b.of[at]
	return broke
}

// note notes how a delta ended.
func (b *breaks) note(at breach, broke bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !broke:
		delete(b.of, at)
		return
	case b.of == nil || len(b.of) >= maxBreaks:
		b.of = map[breach]struct{}{}
	}
	b.of[at] = struct{}{}
}

// offers are the snapshots that a link's peer may compare with. Safe for
// concurrent use.
type offers struct {
	mu    sync.Mutex
	open  map[slot]*offer
	ended bool
}

// slot is what there is one snapshot of at a time.
type slot struct {
	ns       *store.Namespace
	contents bool // it is compared by contents, to heal
}

// offer is one of them. Its summary is made when it is first asked for.
type offer struct {
	run      uint64
	snap     *store.Snapshot // nil: it is still waited for
	summary  *protocol.Summary
	contents bool
	busy     bool // a compare is being answered
	ended    bool
}

// add takes over a snapshot, or a place for one; what was in its slot ends.
func (o *offers) add(ns *store.Namespace, one *offer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		one.end()
		return
	}
	if o.open == nil {
		o.open = map[slot]*offer{}
	}
	at := slot{ns, one.contents}
	o.endLocked(at)
	o.open[at] = one
}

// fill takes over the snapshot that one was added without, and reports whether
// it has not ended meanwhile.
func (o *offers) fill(one *offer, snap *store.Snapshot) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if one.snap = snap; one.ended {
		one.snap.Close()
	}
	return !one.ended
}

// find returns the slot of a run.
func (o *offers) find(ns *store.Namespace, run uint64) (at slot, found bool) {
	for _, contents := range []bool{false, true} {
		at := slot{ns, contents}
		if one := o.open[at]; one != nil && one.run == run {
			return at, true
		}
	}
	return slot{}, false
}

// take returns the snapshot of a run, for one that answers; nil if it is gone.
func (o *offers) take(ns *store.Namespace, run uint64) *offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, found := o.find(ns, run)
	one := o.open[at]
	if !found || one.snap == nil || one.busy {
		return nil
	}
	one.busy = true
	return one
}

// release gives it back.
func (o *offers) release(one *offer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	one.busy = false
	if one.ended {
		one.snap.Close()
	}
}

// end ends that of a run, if it has not ended.
func (o *offers) end(ns *store.Namespace, run uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, found := o.find(ns, run); found {
		o.endLocked(at)
	}
}

func (o *offers) endLocked(at slot) {
	if one := o.open[at]; one != nil {
		delete(o.open, at)
		one.end()
	}
}

func (o *offer) end() {
	o.ended = true
	if o.snap != nil && !o.busy {
		o.snap.Close()
	}
}

// endAll ends them; none is added any more.
func (o *offers) endAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	for at := range o.open {
		o.endLocked(at)
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
		at.summary = protocol.OfferedSummary(scanner{l.ctx, at.snap}, at.contents)
	}
	return protocol.AnswerCompare(at.summary, e, m.sender(l.ctx, l, e.Lane))
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
