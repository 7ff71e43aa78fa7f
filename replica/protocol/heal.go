package protocol

import "github.com/anabranch-db/anabranch/crdt"

// This file keeps the rules of healing. Where digests differ each side checks
// its own store. One that is damaged withdraws. If both are whole, each takes
// from the other what that holds beyond it: a lost value comes back, and of two
// contents of one dot the greater stays, on both sides. Where a removal, or a
// value that expires, is still there at one side and has superseded what the other
// holds, it takes that away. Once it was collected, that a value was removed at
// one side cannot be told from that it was lost there, so it comes back: to lose
// what one of them has would be worse. Only records that neither
// has touched since are healed. So each exchange adds to what both hold, and
// none takes away but what certainly was superseded.
//
// Each side asks the other for a snapshot once its own check is over, and the
// other offers one once its own is. Until then nothing is fetched, and deltas
// flow as ever; to compare with the snapshot is the namespace's fetch.

// healStage is how far a session is with what digests showed to differ.
type healStage uint8

const (
	healNone     healStage = iota // nothing is known to differ, or it was dealt with
	healChecks                    // our store is being checked
	healDue                       // it is whole: the peer is asked as soon as it may be
	healAsks                      // the peer was asked for a snapshot
	healOffered                   // it has offered one, which we do not cover yet, or another fetch is under way
	healCompares                  // that is compared with ours, and is the fetch
)

// heal is what a session does about a difference.
type heal struct {
	stage  healStage
	until  int64       // up to healOffered: when it is given up; else 0
	run    uint64      // of the snapshot that the peer has offered
	vector crdt.Vector // its
	rounds int         // how many ended since digests were equal; maxHealShift at most

	// What the peer may take from us.

	whole  bool   // our store was found whole, and no snapshot was offered since
	asked  bool   // the peer waits for a snapshot
	serves uint64 // the run of the snapshot that it may compare with; 0: none
	endsAt int64  // when that is let go, unless it is compared with; 0: there is none
}

// beginHeal is due when digests were found to differ. The store is checked then.
func (m *Machine) beginHeal(s *session) {
	m.endHealOffer(s)
	s.heal = heal{stage: healChecks, until: m.now + HealPatienceMillis, rounds: s.heal.rounds}
	m.scheduleHeals(s.space)
}

// storeChecked ends the check of our store, which was due since digests differ.
func (m *Machine) storeChecked(ev Checked) {
	l := m.byID[ev.Link]
	if l == nil {
		return
	}
	s := l.byName[ev.Namespace]
	if s == nil || s.space == nil || s.heal.stage != healChecks {
		return
	}
	if ev.Err != nil {
		m.endHeal(s, false)
		return
	}
	s.heal.stage, s.heal.whole = healDue, true
	m.offerHeal(s)
	m.mayHeal(s)
}

// mayHeal asks the peer for a snapshot, once that is due and it may be asked.
func (m *Machine) mayHeal(s *session) {
	switch h := &s.heal; {
	case h.stage != healDue:
	case !s.link.speaks(FeatureReconcile) || !s.link.mayWrite(s.name):
		m.endHeal(s, false)
	case s.mayWant():
		h.stage, h.until = healAsks, m.now+HealPatienceMillis
		m.tellDigest(s, stageHeal, s.verification.hash, nil)
		m.scheduleHeals(s.space)
	}
}

// onOffer takes the offer of a snapshot that was asked for. One that comes too
// late is let go.
func (m *Machine) onOffer(s *session, d digest) {
	switch h := &s.heal; h.stage {
	case healAsks:
		h.stage, h.run, h.vector = healOffered, d.run, d.vector
		m.pull(s.space)
	case healNone, healChecks, healDue:
		m.tellDigest(s, stageHealed, s.verification.hash, nil)
	}
}

// compareOffered begins to compare with a snapshot that was offered, if there
// is one, and reports whether it did. Nothing is fetched when it is called. What
// the snapshot covers beyond us is brought by deltas first: it could not be told
// from what is lost.
func (m *Machine) compareOffered(sp *space) bool {
	for _, s := range sp.sessions {
		h := &s.heal
		if h.stage != healOffered || !sp.own.CoversAll(h.vector) {
			continue
		}
		h.stage, h.until = healCompares, 0
		m.beginFetch(s)
		sp.fetch.heals = true
		s.comparing, s.run = m.newJob(s), h.run
		m.emit(Reconcile{
			Job: s.comparing.id, Link: s.link.id, Lane: sp.priority.lane(), Namespace: sp.ns, Number: s.number, Run: h.run,
			Vector: h.vector, Heals: true,
		})
		m.scheduleHeals(sp)
		return true
	}
	return false
}

// maxHealShift is how often the pause doubles after which what was healed is
// verified again: up to 80 minutes. Healing ends by itself, unless a disk loses
// things all the time.
const maxHealShift = 4

// endHeal ends what beginHeal began, however far it came and whatever came of
// it. The digests are compared again, ever later if they differ again; if
// something has changed here, with all peers.
func (m *Machine) endHeal(s *session, changed bool) {
	sp, h, v := s.space, &s.heal, &s.verification
	if h.stage == healNone {
		return
	}
	if h.stage >= healAsks && s.met() && !s.ended {
		m.tellDigest(s, stageHealed, v.hash, nil)
	}
	h.stage, h.until, h.run, h.vector = healNone, 0, 0, nil
	h.rounds = min(h.rounds+1, maxHealShift)
	v.at, v.notBefore = 0, m.now+DigestDelayMillis<<h.rounds
	if s.verifies() && !s.ended && sp.proposed == nil {
		sp.verifyAt = earlier(sp.verifyAt, v.notBefore)
	}
	m.scheduleHeals(sp)
	if !changed {
		return
	}
	sp.verified = 0 // our digest is another
	for _, o := range sp.sessions {
		if o != s && o.met() && o.link.speaks(FeatureDigest) {
			m.tellDigest(o, stageAgain, sp.normal.Hash(), nil)
			m.verifyAgain(o)
		}
	}
}

// offerHeal has a snapshot offered, if the peer asked and our store is whole.
func (m *Machine) offerHeal(s *session) {
	h := &s.heal
	if !h.asked || !h.whole || !s.met() {
		return
	}
	m.endHealOffer(s)
	h.asked, h.whole = false, false
	j := m.newJob(s)
	m.endJob(j.id) // nothing ends it: its id names the run
	h.serves = uint64(j.id)
	m.awaitCompares(s)
	m.emit(Offer{Job: j.id, Link: s.link.id, Lane: s.space.priority.lane(), Namespace: s.space.ns, Number: s.number})
}

// awaitCompares has the snapshot that is offered kept for a while.
func (m *Machine) awaitCompares(s *session) {
	s.heal.endsAt = m.now + HealPatienceMillis
	m.scheduleHeals(s.space)
}

// endHealOffer lets the snapshot go that is offered.
func (m *Machine) endHealOffer(s *session) {
	if h := &s.heal; h.serves != 0 {
		m.emit(EndServe{s.link.id, s.space.ns, h.serves})
		h.serves, h.endsAt = 0, 0
	}
}

// checkHeals gives up heals of which nothing has come, and offers that nobody
// takes.
func (m *Machine) checkHeals(sp *space) {
	for _, s := range sp.sessions {
		h := &s.heal
		if h.until != 0 && h.until <= m.now {
			m.endHeal(s, false)
		}
		if h.endsAt != 0 && h.endsAt <= m.now {
			m.endHealOffer(s)
		}
	}
	m.scheduleHeals(sp)
}

// scheduleHeals sets when to look at heals.
func (m *Machine) scheduleHeals(sp *space) {
	sp.healAt = 0
	for _, s := range sp.sessions {
		sp.healAt = earlier(sp.healAt, earlier(s.heal.until, s.heal.endsAt))
	}
}
