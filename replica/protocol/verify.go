package protocol

import (
	"bytes"

	"github.com/anabranch-db/anabranch/crdt"
)

// This file keeps the rules of verifying. Peers that cover the same must hold
// the same: they compare digests of their states in the background. Who dialed
// proposes, at most one vector at a time for a namespace, and another one an
// hour after one was compared; at one vector all peers are gone through, since
// its digest is known then. Both take a snapshot when the proposal is made, or
// comes. As a link keeps order, the receiver is at the same vector then, unless
// it has written something itself: then it passes. A peer that passes, or does
// not answer, is asked again later and later, and others go first. Where digests
// differ, heal.go goes on.

// verification is what a session knows of digests.
type verification struct {
	at     int             // 1 + the space's advances at which both were compared last; 0: never
	hash   crdt.VectorHash // of the vector that is being verified
	begun  int             // the space's advances then
	job    *job            // our digest is being taken
	ours   []byte          // our digest, once it is known
	theirs []byte
	waits  *crdt.VectorHash // proposed while deltas are under way

	notBefore int64 // when it may be verified again, after a heal or a proposal that came to nothing
	passes    int   // such proposals in a row; maxHealShift at most
}

// verifies reports whether the session is one that we propose on.
func (s *session) verifies() bool { return s.link.dialed && s.link.speaks(FeatureDigest) }

// mayPropose reports whether there is something to propose: not what was compared
// already, and nothing while a difference stands, or the peer still heals by it.
func (s *session) mayPropose() bool {
	return s.verifies() && s.verification.at != s.space.advances+1 && s.heal.stage == healNone && s.heal.serves == 0
}

// quiet reports whether both sides cover the same, as far as we know.
func (s *session) quiet() bool {
	return s.met() && len(s.missing) == 0 && s.building == nil && s.receiving == nil && s.level()
}

// mayVerify has the digests of a namespace compared, some time after it has
// changed, or after a session has come.
func (m *Machine) mayVerify(s *session) {
	sp := s.space
	if sp.verifyAt == 0 && s.mayPropose() && s.quiet() {
		sp.verifyAt = max(m.now+DigestDelayMillis, sp.verifyFrom())
	}
}

// verifyFrom returns from when on a digest may be proposed at this vector.
func (sp *space) verifyFrom() int64 {
	if sp.verified == 0 || sp.advances == sp.verifiedAs {
		return 0
	}
	return sp.verified + DigestEveryMillis
}

// verify does what is due at verifyAt. Of those that can be asked the one is
// that was compared with the longest ago.
func (m *Machine) verify(sp *space) {
	if s := sp.proposed; s != nil {
		m.giveUp(s)
	}
	sp.verifyAt = 0
	var next *session
	from := sp.verifyFrom()
	for _, s := range sp.sessions {
		at := max(s.verification.notBefore, from)
		switch {
		case !s.mayPropose():
		case at > m.now:
			sp.verifyAt = earlier(sp.verifyAt, at)
		case !s.quiet():
			sp.verifyAt = earlier(sp.verifyAt, m.now+DigestRetryMillis)
		case next == nil || s.verification.at < next.verification.at:
			next = s
		}
	}
	if next != nil {
		m.propose(next)
	}
}

func (m *Machine) propose(s *session) {
	sp, v := s.space, &s.verification
	sp.proposed, sp.verifyAt = s, m.now+DigestTimeoutMillis
	m.takeDigest(s, sp.normal.Hash())
	m.tellDigest(s, stagePropose, v.hash, nil)
}

// giveUp ends a proposal of which nothing has come. Others are next, which need
// no other digest while the vector is the same.
func (m *Machine) giveUp(s *session) {
	sp, v := s.space, &s.verification
	m.endVerify(s)
	v.notBefore = m.now + DigestDelayMillis<<v.passes
	v.passes = min(v.passes+1, maxHealShift)
	if sp.verifyAt = m.now; sp.advances != v.begun {
		sp.verifyAt += DigestDelayMillis
	}
}

// takeDigest has our digest taken.
func (m *Machine) takeDigest(s *session, hash crdt.VectorHash) {
	v := &s.verification
	v.hash, v.begun, v.job, v.ours, v.theirs, v.waits = hash, s.space.advances, m.newJob(s), nil, nil, nil
	m.emit(TakeDigest{Job: v.job.id, Namespace: s.space.ns, Hash: hash, Asked: s.space.proposed != s})
}

func (m *Machine) tellDigest(s *session, st stage, hash crdt.VectorHash, sum []byte) {
	m.sendOn(s, (&digest{number: s.number, stage: st, hash: hash, sum: sum}).encode())
}

// endVerify ends a comparison of digests.
func (m *Machine) endVerify(s *session) {
	v := &s.verification
	if v.job != nil {
		m.endJob(v.job.id)
	}
	v.job, v.ours, v.theirs, v.waits = nil, nil, nil, nil
	if sp := s.space; sp != nil && sp.proposed == s {
		sp.proposed = nil
	}
}

// onDigest takes a Digest.
func (m *Machine) onDigest(l *link, d digest) error {
	if !l.speaks(FeatureDigest) {
		return faultf(CodeProtocol, "a message of a feature that was not agreed on")
	}
	s, err := m.numbered(l, d.number)
	if s == nil || !s.met() {
		return err
	}
	v := &s.verification
	switch d.stage {
	case stagePropose:
		v.waits = &d.hash
		m.answerProposal(s)
	case stageSum:
		if d.hash == v.hash {
			v.theirs = bytes.Clone(d.sum)
			m.compareDigests(s)
		}
	case stagePass:
		if s.space.proposed == s {
			m.giveUp(s)
		}
	case stageHeal:
		s.heal.asked = true
		m.offerHeal(s)
	case stageOffer:
		m.onOffer(s, d)
	case stageHealed:
		s.heal.asked = false
		m.endHealOffer(s)
	case stageAgain:
		if s.space.proposed == s {
			m.giveUp(s)
		}
		m.verifyAgain(s)
	}
	return nil
}

// answerProposal takes our digest if we are at the vector that was proposed. If
// not, deltas that came before may bring us there. While a difference stands we
// pass, since what there is to find was found, and for a while after it.
func (m *Machine) answerProposal(s *session) {
	v, sp := &s.verification, s.space
	stands := s.heal.stage != healNone || v.notBefore > m.now
	switch {
	case v.waits == nil || sp.proposed == s:
	case v.job != nil && v.hash == *v.waits:
		v.waits = nil // it is being taken, for whichever proposal
	case !stands && *v.waits == sp.normal.Hash():
		m.endHealOffer(s)
		m.takeDigest(s, *v.waits)
	case stands || len(sp.coming) == 0:
		m.tellDigest(s, stagePass, *v.waits, nil)
		v.waits = nil
	}
}

// digested ends a TakeDigest.
func (m *Machine) digested(ev Digested) {
	j := m.endJob(ev.Job)
	if j == nil || j.s.ended || j.s.verification.job != j {
		return
	}
	s, v := j.s, &j.s.verification
	v.job = nil
	if ev.Err != nil {
		proposed := s.space.proposed == s
		m.endVerify(s)
		if proposed {
			s.space.verifyAt = m.now + DigestRetryMillis
		} else {
			m.tellDigest(s, stagePass, v.hash, nil)
		}
		return
	}
	v.ours = bytes.Clone(ev.Sum[:])
	if s.space.proposed != s {
		m.tellDigest(s, stageSum, v.hash, v.ours)
	}
	m.compareDigests(s)
}

// compareDigests compares both, once they are known. Who proposed tells its own
// then.
func (m *Machine) compareDigests(s *session) {
	v, sp := &s.verification, s.space
	if v.ours == nil || v.theirs == nil {
		return
	}
	same, proposed := bytes.Equal(v.ours, v.theirs), sp.proposed == s
	v.at, v.passes = v.begun+1, 0
	if proposed {
		m.tellDigest(s, stageSum, v.hash, v.ours)
		sp.verified, sp.verifiedAs = m.now, v.begun
		sp.verifyAt = m.now // for others at the same vector
	}
	m.endVerify(s)
	if same {
		s.heal.rounds = 0
	} else {
		m.beginHeal(s)
	}
	m.emit(Compared{Link: s.link.id, Namespace: sp.ns, Same: same})
}

// verifyAgain forgets that both were equal, and digests that are under way: they
// may be older.
func (m *Machine) verifyAgain(s *session) {
	if s.space.proposed == s {
		s.space.verifyAt = 0
	}
	m.endVerify(s)
	s.verification.at = 0
	m.mayVerify(s)
}
