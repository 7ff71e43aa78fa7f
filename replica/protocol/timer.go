package protocol

import "slices"

// tick does what was due at some time. Nothing relies on ticks being exact:
// whatever is due is found again at the next.
func (m *Machine) tick() {
	m.armed = 0
	for _, l := range slices.Clone(m.links) {
		if !l.greeted && l.deadline <= m.now {
			m.close(l, CodeTimeout, "no Hello came")
		}
	}
	for _, s := range slices.Clone(m.retries) {
		if !s.ended && s.announceAt <= m.now {
			m.announce(s)
		}
	}
	m.retries = slices.DeleteFunc(m.retries, func(s *session) bool { return s.ended || s.announceAt == 0 })
	for _, sp := range m.spaces {
		if sp.verifyAt != 0 && sp.verifyAt <= m.now {
			m.verify(sp)
		}
		if sp.healAt != 0 && sp.healAt <= m.now {
			m.checkHeals(sp)
		}
		if sp.heldAt != 0 && sp.heldAt <= m.now {
			m.checkHeld(sp)
		}
		if sp.nextAt == 0 || sp.nextAt > m.now {
			continue
		}
		if sp.fetch != nil {
			m.checkFetch(sp)
		}
		m.pull(sp)
	}
}

// arm asks for a Tick if something is due before the one that was asked for.
// If that was for something that is no longer due it comes all the same, and
// the next is asked for then.
func (m *Machine) arm() {
	var at int64
	for _, l := range m.links {
		if !l.greeted {
			at = earlier(at, l.deadline)
		}
	}
	for _, s := range m.retries {
		if !s.ended {
			at = earlier(at, s.announceAt)
		}
	}
	for _, sp := range m.spaces {
		for _, due := range [...]int64{sp.nextAt, sp.heldAt, sp.verifyAt, sp.healAt} {
			at = earlier(at, due)
		}
	}
	if at != 0 && (m.armed == 0 || at < m.armed) {
		m.armed = at
		m.emit(SetTimer{at})
	}
}

// earlier returns the earlier of two times, of which 0 is none.
func earlier(a, b int64) int64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
