package protocol

// This file keeps the rules of meeting: Hello, Announce, Gone. A namespace is
// spoken of on a link once both sides have announced it, and each then tells
// its vector, unless the Hellos already showed that both are the same.

// greet says Hello on a new link.
func (m *Machine) greet(l *link) {
	h := hello{min: MinVersion, max: Version, cluster: m.cluster, revocations: m.revoked.hash(), features: m.features}
	var later []*session
	for _, sp := range m.spaces {
		if !l.carries(sp) {
			continue
		}
		s := m.session(l, sp.name)
		sp.join(s)
		if len(h.namespaces) == MaxHelloNamespaces {
			later = append(later, s)
			continue
		}
		l.numbers++
		s.number, s.greeted, s.greeting = l.numbers, sp.normal, sp.normal.Hash()
		h.namespaces = append(h.namespaces, greeting{s.name, s.greeting})
	}
	m.send(l, h.encode())
	l.clock = question{at: m.now, waiting: true} // a Hello asks
	for _, s := range later {
		s.beginEpoch()
		m.announce(s)
	}
}

// onHello takes the peer's Hello. What both Hellos name with the same hash is
// in sync, and each side knows without a further word what both were told.
func (m *Machine) onHello(l *link, h hello) error {
	if h.min > Version || h.max < MinVersion || h.min > h.max {
		return faultf(CodeVersion, "the peer speaks versions %d to %d, this node %d to %d",
			h.min, h.max, MinVersion, Version)
	}
	if h.cluster != m.cluster {
		return faultf(CodeCluster, "the peer is of cluster %x, this node of %x", h.cluster[:4], m.cluster[:4])
	}
	l.greeted, l.features = true, agree(m.features, h.features)
	if l.speaks(FeatureClocks) {
		m.tellClock(l)
	}
	if h.revocations != m.revoked.hash() {
		m.sendRevocations(l, m.revoked.statements)
	}
	if l.speaks(FeatureAddresses) {
		m.emit(Greeted{l.id})
	}
	for i, g := range h.namespaces {
		s := m.session(l, g.name)
		s.peerNumber = uint64(i + 1)
		l.names = append(l.names, g.name)
		if s.greeted != nil && s.greeting == g.hash {
			m.inSync(s)
		}
		s.owes.vector = s.told == nil
		s.owes.want = s.greeted != nil && len(s.greeted) == 0 && s.owes.vector
	}
	for _, s := range l.sessions {
		s.greeted = nil
		m.tend(s)
	}
	return nil
}

// inSync begins a session in which both Hellos stood for one vector.
func (m *Machine) inSync(s *session) {
	s.told = s.greeted.Clone()
	m.replaceTheirs(s, s.greeted.Clone())
	s.live = true // but for what was written since
}

// announce gives a namespace our next number on a link.
func (m *Machine) announce(s *session) {
	l := s.link
	if l.numbers == MaxNumbers {
		// Not CodeLimit, which says that the peer broke a rule: it is this end that
		// has had its time on this link, and it begins anew on another.
		m.close(l, CodeTimeout, "the numbers for namespaces are used up")
		return
	}
	l.numbers++
	s.number, s.announceAt = l.numbers, 0
	m.send(l, (&announce{s.name}).encode())
	s.owes.vector = true
	m.tend(s)
}

// onAnnounce takes note of a namespace at the peer. What we told of it, under
// an older number or before it was there, the peer does not have.
func (m *Machine) onAnnounce(l *link, a announce) error {
	if len(l.names) == MaxNumbers {
		return faultf(CodeLimit, "more than %d namespaces were announced", MaxNumbers)
	}
	s := m.session(l, a.name)
	if s.peerNumber != 0 {
		return faultf(CodeProtocol, "namespace %q has number %d already", a.name, s.peerNumber)
	}
	l.names = append(l.names, a.name)
	s.peerNumber = uint64(len(l.names))
	s.owes.vector = true
	m.tend(s)
	return nil
}

// onGone forgets what the peer told under a number, and what it was told.
func (m *Machine) onGone(l *link, g gone) error {
	if g.number > uint64(len(l.names)) || l.names[g.number-1] == "" {
		return faultf(CodeProtocol, "namespace %d is not there to be gone", g.number)
	}
	s := l.byName[l.names[g.number-1]]
	l.names[g.number-1] = ""
	s.peerNumber = 0
	if s.space == nil {
		l.forget(s)
		return nil
	}
	m.cancelBuild(s)
	// A delta that is broken off ends its epoch. The executor may have found a
	// fault in it already, and then takes nothing more of that epoch.
	m.cancelReceive(s)
	s.beginEpoch()
	m.endOffer(s)
	m.endHealOffer(s)
	m.endVerify(s)
	m.endFetch(s, false)
	s.verification, s.heal = verification{}, heal{}
	s.told, s.floorTold, s.owes.refusal = nil, nil, 0
	s.theirs, s.floor, s.missing, s.known, s.knownLent = nil, nil, nil, nil, false
	s.generation++
	s.sent, s.came, s.open = Sent{}, lone{}, nil
	s.introduced, s.toSpare, s.live, s.wanted, s.refusals = nil, nil, false, false, 0
	s.wantAt = 0
	m.pull(s.space)
	m.tire(s)
	return nil
}

// tire has a peer that drops a namespace again and again wait for longer and
// longer: each time it comes back all is built for it.
func (m *Machine) tire(s *session) {
	if m.now-s.goneAt > GoneMemoryMillis {
		s.gone = 0
	}
	s.gone++
	s.goneAt = m.now
	if over := s.gone - MaxGone; over > 0 && s.number != 0 {
		m.withdraw(s, over)
	}
}

// unread withdraws a namespace that could not be read, so that the peer asks
// another.
func (m *Machine) unread(s *session) {
	s.withdrawn++
	m.withdraw(s, s.withdrawn)
}

// withdraw takes back the announcement of a namespace, and announces it again
// after a pause that grows with how often that was done.
func (m *Machine) withdraw(s *session, times int) {
	sp := s.space
	m.send(s.link, (&gone{s.number}).encode())
	fresh := m.restart(s)
	sp.join(fresh)
	fresh.announceAt = m.now + backoff(times)
	m.retries = append(m.retries, fresh)
	m.pull(sp)
}
