package protocol

import (
	"errors"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// However often a peer proposes, and whatever it says then, what differs is
// found once: neither a digest nor a check follows before it was healed, nor
// for a while after that.
func TestADifferenceIsFoundOnce(t *testing.T) {
	p := newHealPair(t, true)
	p.sides[1].checks = false
	p.pass(DigestDelayMillis)
	insist := func() {
		hash := p.session(1).space.normal.Hash()
		for range 10 {
			p.sides[0].send((&digest{number: 1, stage: stagePropose, hash: hash, sum: []byte{}}).encode())
			p.sides[0].send((&digest{number: 1, stage: stageSum, hash: hash, sum: make([]byte, sumBytes)}).encode())
			p.deliver()
		}
		if s := p.sides[1]; s.digests != 1 || len(s.compared) != 1 {
			t.Errorf("%d digests were taken, and %d differences found", s.digests, len(s.compared))
		}
	}
	insist()
	p.step(p.sides[1], Checked{Link: 1, Namespace: "flat"})
	p.deliver()
	insist()
	p.finish(0, false, nil)
	p.finish(1, false, nil)
	insist()
	p.pass(4 * DigestDelayMillis)
	if n := p.sides[1].digests; n < 2 {
		t.Error("nothing is compared any more")
	}
}

// A proposal that comes again while its digest is being taken asks for no other.
func TestAProposalCountsOnce(t *testing.T) {
	p := newHealPair(t, false)
	peer := p.sides[1]
	peer.reads = false
	p.pass(DigestDelayMillis)
	for range 10 {
		p.sides[0].send((&digest{number: 1, stage: stagePropose, hash: p.session(1).space.normal.Hash(), sum: []byte{}}).encode())
	}
	p.deliver()
	if jobs := len(peer.m.jobs); peer.digests != 1 || jobs != 1 {
		t.Errorf("%d digests and %d jobs, want one", peer.digests, jobs)
	}
	p.step(peer, Digested{Job: peer.reading})
	p.deliver()
	if len(peer.compared) != 1 {
		t.Errorf("compared %+v", peer.compared)
	}
}

// A namespace that changes all the time is read about once an hour, also while
// its digest takes longer than it stands still.
func TestABusyNamespaceIsReadOnceAnHour(t *testing.T) {
	p := newHealPair(t, false)
	for _, s := range p.sides {
		s.reads = false
	}
	const hours = 12
	for range hours * 12 {
		p.pass(5 * 60_000)
		p.move()
		for _, s := range p.sides {
			p.step(s, Digested{Job: s.reading, Sum: s.sum})
		}
		p.deliver()
	}
	for i, s := range p.sides {
		if s.digests < hours/2 || s.digests > hours+1 {
			t.Errorf("side %d: %d digests in %d hours", i, s.digests, hours)
		}
	}
}

// Nor does a peer that was healed all the time have it read more often.
func TestAPeerThatIsHealedAgainAndAgainIsBounded(t *testing.T) {
	p := newHealPair(t, false)
	const hours = 12
	for range hours * 60 {
		p.pass(60_000)
		p.move()
		p.sides[1].send((&digest{number: 1, stage: stageAgain, sum: []byte{}}).encode())
		p.deliver()
	}
	if n := p.sides[0].digests; n < hours/2 || n > hours+1 {
		t.Errorf("%d digests in %d hours", n, hours)
	}
}

// A peer that always passes is asked less and less often.
func TestAPeerThatPassesIsAskedSeldom(t *testing.T) {
	p := newHealPair(t, false)
	p.sides[1].reads = false
	const hours = 24
	for range hours * 60 {
		p.move()
		p.pass(60_000)
		p.step(p.sides[1], Digested{Job: p.sides[1].reading, Err: errors.New("no time")})
		p.deliver()
	}
	if n := p.sides[0].digests; n < hours/2 || n > hours+4 {
		t.Errorf("%d digests in %d hours", n, hours)
	}
}

// A peer that passes, or says nothing, keeps no other from being verified.
func TestAPeerThatDoesNotAnswerHoldsNobodyUp(t *testing.T) {
	for _, passes := range []bool{true, false} {
		m := New(Config{Node: crdt.NodeID{1}, Features: []Feature{FeatureDigest}})
		vector := flat{}.Past(manyEntries(0, 1))
		m.Step(1, Opened{flat{}, vector})
		hash := vector.Normal().Hash()
		var stamps [3]Stamper
		for _, id := range []LinkID{1, 2} {
			m.Step(1, LinkUp{Link: id, Peer: crdt.NodeID{byte(1 + id)}, Dialed: true})
			h := hello{min: 1, max: 1, revocations: m.revoked.hash(), features: m.features, namespaces: []greeting{{"flat", hash}}}
			m.Step(1, Received{id, stamps[id].Stamp(h.encode())})
		}
		asked := map[LinkID]int{}
		for minute := range int64(120) {
			now := minute * 60_000
			for _, e := range append([]Effect(nil), m.Step(now, Tick{})...) {
				switch e := e.(type) {
				case TakeDigest:
					m.Step(now, Digested{Job: e.Job})
				case Send:
					asked[e.Link]++
					if e.Link == 1 && passes {
						m.Step(now, Received{1, stamps[1].Stamp((&digest{number: 1, stage: stagePass, hash: hash, sum: []byte{}}).encode())})
					}
				}
			}
		}
		if asked[1] == 0 || asked[2] == 0 {
			t.Errorf("passes %v: asked %v", passes, asked)
		}
	}
}
