package protocol

import (
	"errors"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// Where digests differ each side takes what the other holds, once; when both
// hold the same it is over.
func TestBothSidesHeal(t *testing.T) {
	p := newHealPair(t, true)
	p.pass(DigestDelayMillis)
	p.heals("after the digests", 1, 1)
	for i := range p.sides {
		p.finish(i, true, nil)
		if p.session(i).space.fetch != nil {
			t.Errorf("side %d still fetches", i)
		}
	}
	p.sides[1].sum = p.sides[0].sum
	p.pass(24 * 60 * 60_000)
	p.heals("a day later", 1, 1)
	for i, s := range p.sides {
		if n := len(s.compared); n != 2 || !s.compared[1].Same {
			t.Errorf("side %d compared %+v", i, s.compared)
		}
		if len(s.ended) != 1 {
			t.Errorf("side %d let %d snapshots go, want 1", i, len(s.ended))
		}
	}
}

// The peer offers a snapshot once its own check is over, however long that
// takes. Meanwhile nothing is fetched.
func TestNothingIsFetchedBeforeAnOffer(t *testing.T) {
	p := newHealPair(t, true)
	p.sides[1].checks = false
	p.pass(DigestDelayMillis + 20*60_000)
	p.heals("while the peer checks", 0, 0)
	if p.session(0).space.fetch != nil {
		t.Error("there is a fetch without an offer")
	}
	p.step(p.sides[1], Checked{Link: 1, Namespace: "flat"})
	p.deliver()
	p.heals("when it has", 1, 1)
}

// A heal that breaks off is not forgotten, though no vector moves: the digests
// are compared again.
func TestAHealThatBreaksOffIsTakenUpAgain(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*healPair)
	}{
		{"no answer comes", func(*healPair) {}},
		{"it fails", func(p *healPair) { p.finish(0, false, errors.New("the disk is full")) }},
		{"the link is lost", func(p *healPair) { p.cut(); p.link() }},
		{"the namespace is gone for a while", func(p *healPair) {
			p.step(p.sides[1], Closed{"flat"})
			p.deliver()
			p.step(p.sides[1], Opened{flat{}, flat{}.Past(p.sides[1].vector)})
			p.deliver()
		}},
		{"a delta is refused", func(p *healPair) {
			p.sides[0].m.refuse(p.session(0), reasonStore)
			p.deliver()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newHealPair(t, true)
			p.pass(DigestDelayMillis)
			p.heals("at first", 1, 1)
			p.finish(1, false, nil)
			tc.end(p)
			p.pass(4 * DigestEveryMillis)
			if len(p.sides[0].reconciles) < 2 {
				t.Error("it was forgotten")
			}
		})
	}
}

// A heal of which nothing comes, at either side, is given up, and taken up
// again.
func TestAHealIsGivenUpInTheEnd(t *testing.T) {
	for name, stop := range map[string]func(*healPair){
		"the check takes for ever": func(p *healPair) { p.sides[0].checks = false },
		"the peer has no snapshot": func(p *healPair) { p.sides[1].offers = false },
		"the peer's check does so": func(p *healPair) { p.sides[1].checks = false },
	} {
		p := newHealPair(t, true)
		stop(p)
		p.pass(DigestDelayMillis + HealPatienceMillis - 1)
		if got := p.session(0).heal.stage; got == healNone || len(p.sides[0].reconciles) > 0 {
			t.Errorf("%s: stage %d", name, got)
		}
		p.sides[0].checks, p.sides[1].checks, p.sides[1].offers = true, true, true
		p.pass(6 * DigestEveryMillis)
		if len(p.sides[0].reconciles) == 0 {
			t.Errorf("%s: it was forgotten", name)
		}
	}
}

// A peer that may not be asked now is asked when it may.
func TestAHealWaitsUntilThePeerMayBeAsked(t *testing.T) {
	p := newHealPair(t, true)
	p.sides[0].checks = false
	p.pass(DigestDelayMillis)
	mine, peer := p.sides[0], p.sides[1]
	peer.send((&want{1}).encode())
	peer.send(encodeVector(1, p.session(0).sendEpoch, peer.vector.Entries()))
	p.deliver()
	if len(mine.builds) != 1 || p.session(0).mayWant() {
		t.Fatalf("%d builds, and the peer may be asked: %v", len(mine.builds), p.session(0).mayWant())
	}
	p.step(mine, Checked{Link: 1, Namespace: "flat"})
	p.deliver()
	p.heals("during the build", 0, 1)
	p.step(mine, Built{Job: mine.builds[0].Job, To: mine.vector})
	p.deliver()
	p.heals("after it", 1, 1)
}

// A namespace that is written all the time is healed as well: what was written
// since the digests is news, and left to deltas.
func TestAHealGoesOnWhileTheNamespaceIsWritten(t *testing.T) {
	p := newHealPair(t, true)
	p.sides[0].checks, p.sides[1].checks = false, false
	p.pass(DigestDelayMillis)
	p.move()
	for _, s := range p.sides {
		p.step(s, Checked{Link: 1, Namespace: "flat"})
	}
	p.move()
	p.heals("after the checks", 1, 1)
}

// What a peer offers is compared with once all that it covers is here.
func TestAnOfferWaitsForWhatIsLacking(t *testing.T) {
	p := newHealPair(t, true)
	p.sides[1].checks = false
	p.pass(DigestDelayMillis)
	for w, seq := range p.sides[1].vector {
		p.sides[1].vector = crdt.Vector{w: seq + 1}
	}
	p.step(p.sides[1], Checked{Link: 1, Namespace: "flat"})
	p.deliver()
	if n := len(p.sides[1].offered); n != 1 {
		t.Fatalf("%d offers", n)
	}
	p.heals("while we lack something", 0, 1)
	p.step(p.sides[0], Durable{"flat", flat{}.Past(p.sides[1].vector)})
	p.heals("when it has come", 1, 1)
}

// An offer that comes while something else is fetched waits for its end.
func TestAnOfferWaitsForTheFetchUnderWay(t *testing.T) {
	p := newHealPair(t, true)
	p.sides[1].checks = false
	p.pass(DigestDelayMillis)
	p.sides[1].send(encodeHave(1, manyEntries(1, 1).Entries()))
	p.deliver()
	p.pass(FetchDelayMillis)
	p.step(p.sides[1], Checked{Link: 1, Namespace: "flat"})
	p.deliver()
	if f := p.session(0).space.fetch; f == nil || f.heals || len(p.sides[1].offered) != 1 {
		t.Fatalf("the fetch is %+v, and there are %d offers", f, len(p.sides[1].offered))
	}
	p.heals("during the fetch", 0, 1)
	p.pass(FetchTimeoutMillis)
	p.heals("after it", 1, 1)
}

// runs returns what EndServes have named.
func (s *healSide) runs() (all []uint64) {
	for _, e := range s.ended {
		all = append(all, e.Run)
	}
	return all
}

// Snapshots that are offered for a delta and to heal are let go each for itself.
func TestEachOfferEndsForItself(t *testing.T) {
	p := newHealPair(t, true)
	p.sides[0].checks = false
	p.pass(DigestDelayMillis) // the peer heals, and takes its time
	mine := p.sides[0]
	p.step(mine, Checked{Link: 1, Namespace: "flat"})
	p.deliver()
	p.sides[1].send((&want{1}).encode())
	p.deliver()
	source := mine.builds[0].Job
	p.step(mine, Built{Job: source, To: manyEntries(0, 2), Offered: true})
	p.deliver()
	p.sides[1].send(encodeHave(1, manyEntries(1, 1).Entries()))
	p.deliver()
	if got := mine.runs(); !slices.Equal(got, []uint64{uint64(source)}) {
		t.Errorf("ended runs %v when the peer is level, want %d", got, source)
	}
	p.finish(1, false, nil)
	if got := mine.runs(); !slices.Equal(got, []uint64{uint64(source), uint64(mine.offered[0].Job)}) {
		t.Errorf("ended runs %v when the peer has healed, want that of the offer as well", got)
	}
}

// An offer that nobody takes is let go.
func TestAnOfferThatIsNotTakenEnds(t *testing.T) {
	p := newHealPair(t, true)
	p.sides[0].checks, p.sides[1].offers = false, false
	p.pass(DigestDelayMillis)
	p.sides[0].send((&digest{number: 1, stage: stageHeal, sum: []byte{}}).encode())
	p.deliver()
	if n := len(p.sides[1].offered); n != 1 {
		t.Fatalf("%d offers", n)
	}
	p.sides[0].m.links[0].byName["flat"].heal.stage = healNone // it says nothing any more
	p.pass(HealPatienceMillis)
	if got := p.sides[1].runs(); !slices.Equal(got, []uint64{uint64(p.sides[1].offered[0].Job)}) {
		t.Errorf("ended runs %v, want that of the offer", got)
	}
}

// A snapshot that was offered to a session which ended meanwhile, or to a peer
// that had begun anew, is let go.
func TestASourceThatComesTooLateIsLetGo(t *testing.T) {
	for name, end := range map[string]func(*healPair){
		"the session ended": func(p *healPair) {
			p.step(p.sides[0], Prioritized{"flat", PriorityUrgent})
		},
		"the peer's namespace is gone": func(p *healPair) {
			p.step(p.sides[1], Closed{"flat"})
		},
		"the namespace was dropped": func(p *healPair) {
			p.step(p.sides[0], Closed{"flat"})
		},
	} {
		p := newHealPair(t, false)
		mine := p.sides[0]
		p.sides[1].send((&want{1}).encode())
		p.deliver()
		end(p)
		p.deliver()
		p.step(mine, Built{Job: mine.builds[0].Job, To: mine.vector, Offered: true})
		if got := mine.runs(); !slices.Equal(got, []uint64{uint64(mine.builds[0].Job)}) {
			t.Errorf("%s: ended runs %v, want that of the build", name, got)
		}
	}
}
