package protocol

import (
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// Each of two offers that are on their way at a time is answered by a compare.
// Only that of the later counts: else each makes another offer, for ever.
func TestOnlyTheLastOfferIsCompared(t *testing.T) {
	p := newHealPair(t, false)
	mine, peer := p.sides[0], p.sides[1]
	offered := func() uint64 {
		b := mine.builds[len(mine.builds)-1]
		p.step(mine, Built{Job: b.Job, To: manyEntries(0, 2), Offered: true}) // which the peer lacks
		return uint64(b.Job)
	}
	peer.send((&want{1}).encode())
	p.deliver()
	first := offered()
	peer.send((&want{1}).encode()) // it took too long
	p.deliver()
	peer.send((&want{1}).encode()) // comes during the Build, and gets its offer
	p.deliver()
	second := offered()
	if len(mine.builds) != 2 {
		t.Fatalf("%d builds, want 2: whoever asks during one gets what it offers", len(mine.builds))
	}
	peer.send(encodeCompare(1, first, nil))
	p.deliver()
	if len(mine.builds) != 2 || len(mine.serves) != 0 {
		t.Fatalf("%d builds and %d answers after a compare with the first offer", len(mine.builds), len(mine.serves))
	}
	peer.send(encodeCompare(1, second, nil))
	p.deliver()
	if len(mine.serves) != 1 || mine.serves[0].Run != second {
		t.Errorf("answers %+v, want one of run %d", mine.serves, second)
	}
}

// A comparison that fails for want of writer records, which could not be kept
// when they came, is refused, so that they are sent again.
func TestAComparisonWithoutWritersIsRefused(t *testing.T) {
	p := newHealPair(t, false)
	mine, peer := p.sides[0], p.sides[1]
	peer.send(encodeHave(1, manyEntries(1, 1).Entries()))
	p.deliver()
	p.pass(FetchDelayMillis)
	if len(peer.builds) != 1 {
		t.Fatalf("%d builds at the peer", len(peer.builds))
	}
	b := peer.builds[0]
	to := manyEntries(0, 2)
	peer.send(EncodeSource(b, to, nil))
	p.step(peer, Built{Job: b.Job, To: to, Offered: true})
	p.deliver()
	if len(mine.reconciles) != 1 {
		t.Fatalf("%d comparisons", len(mine.reconciles))
	}
	epoch := p.session(1).sendEpoch
	p.step(mine, Reconciled{Job: mine.reconciles[0].Job, Err: crdt.ErrUnknownWriter})
	p.deliver()
	if s := p.session(1); s.sendEpoch == epoch || s.refusals != 1 {
		t.Errorf("the peer hears of %d refusals", s.refusals)
	}
}

// A delta that was being sent while the peer dropped its namespace, and opened
// it again, has told it nothing: not of the floor either, without which values
// would come back that removals took away which are collected here.
func TestAFloorIsToldAnewToANamespaceThatIsOpenedAgain(t *testing.T) {
	p := newHealPair(t, false)
	mine, peer := p.sides[0], p.sides[1]
	floor := manyEntries(0, 1)
	peer.send((&want{1}).encode())
	p.deliver()
	p.step(peer, Closed{"flat"})
	p.step(peer, Opened{flat{}, flat{}.Past(nil)})
	p.deliver()
	p.step(mine, Built{Job: mine.builds[0].Job, To: mine.vector, Floor: floor})
	p.deliver()
	p.pass(FetchDelayMillis)
	if len(mine.builds) != 2 {
		t.Fatalf("%d builds, want one for each of two sessions", len(mine.builds))
	}
	if told := mine.builds[1].FloorTold; len(told) > 0 {
		t.Errorf("the peer counts as told of the floor %v", told)
	}
}

// What comes before the peer's Hello may be for a namespace that was dropped
// since and opened again: records that seem cut off from their parents are no
// fault of the peer.
func TestRecordsForANamespaceThatWasDroppedAreNoForgery(t *testing.T) {
	m := New(Config{Node: crdt.NodeID{1}})
	m.Step(1, Opened{flat{}, flat{}.Past(nil)})
	m.Step(1, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
	m.Step(1, Closed{"flat"})
	m.Step(1, Opened{flat{}, flat{}.Past(nil)})
	var s Stamper
	h := hello{min: 1, max: 1, revocations: m.revoked.hash(), namespaces: []greeting{{name: "flat"}}}
	m.Step(1, Received{1, s.Stamp(h.encode())})
	rec := &crdt.WriterRecord{Writer: sampleWriter(1), Namespace: "flat", Parents: []crdt.Dot{{Writer: sampleWriter(2), Seq: 1}}}
	for f := range EncodeWriters(1, []*crdt.WriterRecord{rec}, func(crdt.NodeID) []byte { return nil }) {
		for _, e := range m.Step(1, Received{1, s.Stamp(f)}) {
			if l, ok := e.(Learn); ok {
				for _, e := range m.Step(1, Learned{l.Job, crdt.ErrWriterRecord}) {
					if c, ok := e.(Close); ok {
						t.Errorf("the link is closed: %v, %s", c.Code, c.Reason)
					}
				}
				return
			}
		}
	}
	t.Error("nothing was learned")
}
