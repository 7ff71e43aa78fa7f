package protocol

// This file keeps the rules of learning writer records. They travel ahead of
// what mentions their writers, so that vectors can be expanded: one that names
// an unknown writer counts for less than it covers, and a delta built then
// would bring what the peer has.

// onWriters has records verified and kept.
func (m *Machine) onWriters(l *link, number uint64, body []byte) error {
	s, err := m.numbered(l, number)
	if s == nil {
		return err
	}
	s.learning++
	m.emit(Learn{m.newJob(s).id, l.id, s.space.ns, body})
	return nil
}

// learned expands again what the peer told, now that more of it is known.
func (m *Machine) learned(ev Learned) {
	j := m.endJob(ev.Job)
	if j == nil {
		return
	}
	s := j.s
	if !s.ended && s.theirs != nil {
		m.noteTold(s, s.theirs)
	}
	m.noteComing(s.space) // also of what has ended: what came whole is applied all the same
	if s.ended {
		return
	}
	s.learning--
	// Records that come after some that could not be kept may look cut off
	// from their parents, through no fault of the peer. A delta that needs
	// them is refused, and then all are sent again.
	if code, bad := hostile(ev.Err); bad && !s.lost {
		m.close(s.link, code, ev.Err.Error())
		return
	}
	s.lost = s.lost || ev.Err != nil
	for _, a := range s.held {
		a.past = s.space.ns.Past(a.to)
	}
	m.deliver(s.space)
	m.tend(s)
	m.pull(s.space)
}
