package protocol

import "github.com/anabranch-db/anabranch/crdt"

// This file keeps the rules of telling: what we say that we cover, and what we
// make of what a peer says.
//
// told is what our frames on a session add up to at the peer, and theirs what
// its frames add up to here. So the two are equal whenever all frames have
// arrived. Each message that changes told says only the difference, but for
// Vector and Refuse, which begin it anew. While a Build runs, nothing else
// changes told: the last frame of its delta says a difference from what told
// was when it began.

// tend sends on a session what is due there. It may be called at any time.
func (m *Machine) tend(s *session) {
	if !s.paired() || s.building != nil {
		return
	}
	if s.owes.refusal != 0 {
		m.tellRefusal(s)
	}
	if s.owes.vector {
		m.tellVector(s)
	}
	if s.owes.want {
		m.askAtOnce(s)
	}
	if !s.met() {
		return
	}
	if s.owes.writers {
		s.owes.writers = false
		m.introduce(s, s.space.own)
	}
	s.live = s.live || s.level()
	m.answerProposal(s)
	m.mayVerify(s)
	m.mayHeal(s)
	if s.offered != nil && s.answering == nil && s.known.Includes(s.offered) {
		m.endOffer(s)
	}
	switch due := s.wanted || s.live && s.lacksOurs() && m.mayPush(s); {
	case due && s.learning == 0 && !s.outdated():
		m.build(s)
	case !due && !s.link.queued[s.space.priority.lane()]:
		m.tellMore(s)
	}
}

// tellVector tells all that is durable here, from nothing on.
func (m *Machine) tellVector(s *session) {
	s.owes.vector = false
	m.tellAnew(s, func(entries []crdt.Dot) Frame {
		return encodeVector(s.number, s.recvEpoch, entries)
	})
}

// tellAnew sends the vector, its first part in the given message, which
// replaces all that was told.
func (m *Machine) tellAnew(s *session, first func([]crdt.Dot) Frame) {
	entries := s.space.normal.Entries()
	n := min(len(entries), MaxEntriesPerFrame)
	if s.theirs != nil {
		m.introduce(s, s.space.own)
	}
	m.sendOn(s, first(entries[:n]))
	m.tellDiff(s, entries[n:])
	s.told = s.space.normal.Clone()
}

// tellDiff sends Haves.
func (m *Machine) tellDiff(s *session, diff []crdt.Dot) {
	for len(diff) > 0 {
		n := min(len(diff), MaxEntriesPerFrame)
		m.sendOn(s, encodeHave(s.number, diff[:n]))
		diff = diff[n:]
	}
}

// tellMore tells what became durable since the peer was told. Entries that
// later ones imply stay in told; when they outgrow the rest it begins anew.
func (m *Machine) tellMore(s *session) {
	diff := s.told.Behind(s.space.normal)
	if len(s.told)+len(diff) > 2*len(s.space.normal)+toldSlack {
		m.tellVector(s)
		return
	}
	if len(diff) == 0 {
		return
	}
	news := vectorOf(diff)
	m.introduce(s, s.space.ns.Past(news))
	m.tellDiff(s, diff)
	s.told.Join(news)
}

// introduce sends the records of the writers in p that the peer may not know.
// It comes ahead of what tells of them.
func (m *Machine) introduce(s *session, p *crdt.Past) {
	news := Unintroduced(p.Since(s.known), s.introduced)
	if len(news) == 0 {
		return
	}
	lane := s.space.priority.lane()
	s.link.queued[lane] = true
	m.emit(Introduce{s.link.id, lane, s.space.ns, s.number, news})
	s.introduced = s.withIntroduced(news)
}

// onVector takes what the peer covers, from nothing on.
func (m *Machine) onVector(l *link, v vector) error {
	s, err := m.numbered(l, v.number)
	if s == nil {
		return err
	}
	first := s.theirs == nil
	if first || v.epoch != s.sendEpoch {
		s.sendEpoch = v.epoch
		m.replaceTheirs(s, v.entries)
	} else {
		s.theirs = v.entries
		m.noteTold(s, v.entries)
	}
	if first && len(s.missing) > 0 {
		s.wantAt = m.now
	}
	s.owes.writers = true
	m.tend(s)
	m.pull(s.space)
	return nil
}

// onHave takes what the peer covers beyond what it told.
func (m *Machine) onHave(l *link, h have) error {
	s, err := m.numbered(l, h.number)
	if s == nil || s.theirs == nil {
		return err
	}
	if err := m.addTheirs(s, h.diff); err != nil {
		return err
	}
	m.tend(s)
	m.pull(s.space)
	return nil
}

// addTheirs adds to what the peer told.
func (m *Machine) addTheirs(s *session, diff crdt.Vector) error {
	s.theirs.Join(diff)
	if len(s.theirs) > crdt.MaxVectorEntries {
		return faultf(CodeLimit, "a vector of more than %d entries", crdt.MaxVectorEntries)
	}
	m.noteTold(s, diff)
	s.refusals = 0
	return nil
}

// noteTold makes the conclusions from entries that the peer covers.
func (m *Machine) noteTold(s *session, entries crdt.Vector) {
	past := s.space.ns.Past(entries)
	s.learnt(past)
	s.space.others.Join(past)
	m.noteMissing(s, past)
}

// noteMissing takes note of what of p is not durable here. Its entries in
// normal form stand for all that they imply, which is of the same nodes: what
// brings them brings that.
func (m *Machine) noteMissing(s *session, p *crdt.Past) {
	ours := false
	for _, e := range s.space.own.Behind(p) {
		s.missing.Advance(e.Writer, e.Seq)
		ours = ours || m.wrote(s.space, e.Writer)
	}
	if ours {
		m.noteAhead(s, p)
	}
}

// wrote reports whether a writer is one of this node.
func (m *Machine) wrote(sp *space, w crdt.WriterID) bool {
	n, ok := sp.ns.NodeOf(w)
	return ok && n == m.node
}

// replaceTheirs begins anew what is known of the peer.
func (m *Machine) replaceTheirs(s *session, theirs crdt.Vector) {
	m.cancelBuild(s)
	s.generation++
	s.theirs, s.missing = theirs, crdt.Vector{}
	s.known, s.knownLent = s.space.ns.Past(theirs), false
	s.introduced, s.toSpare, s.live, s.wanted = nil, nil, false, false
	s.space.others.Join(s.known)
	m.noteMissing(s, s.known)
}
