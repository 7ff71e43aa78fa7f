package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Clock asks what the peer's wall clock says, or tells what ours does;
// FeatureClocks:
//
//	clock = [15]        what does your clock say?
//	      | [15 wall]   this is what mine says, in milliseconds since 1970
//
// A Hello asks as well. An answer is sent at once, unless another one waits to
// be sent: however often a peer asks that does not read, two are all that it
// costs. What an answer told is taken as of the middle of the round trip, which is the one way to know nothing of
// either direction alone: it is off by half of the round trip at most (RFC
// 5905, section 8). It is asked for again when something is said anyway and
// the last answer is old: a link that is idle stays silent. And it is asked for
// again at once when this node's clock was set, or the device slept, since both
// look the same from here, and in the second case what is known is no longer so.
type clockMessage struct {
	told bool
	wall int64
}

func (c *clockMessage) encode() Frame {
	if !c.told {
		return Frame{newMessage(4, 0, codeClock)}
	}
	return Frame{crdt.AppendUint(newMessage(12, 1, codeClock), uint64(c.wall))}
}

func readClock(r *crdt.Reader, fields int) (c clockMessage) {
	if fields == 0 {
		return c
	}
	wantFields(r, fields, 1)
	u := r.Uint()
	if u > maxWallMillis {
		r.Fail("a wall clock that is no time")
	}
	return clockMessage{true, int64(u)}
}

// question is one for the peer's clock on a link.
type question struct {
	at      int64 // when it was asked last; of a link, when Hello was said
	waiting bool  // for the answer
	spoiled bool  // the answer, by a sleep meanwhile, of which at knows nothing
}

// answerToClock is how the answers to the peer's questions stand.
type answerToClock struct {
	waiting bool // one waits to be sent
	owed    bool // and it asked again since
}

// setWall takes what this node's clock says, and asks again if it has moved
// against the machine's.
func (m *Machine) setWall(wall int64) {
	first, base := m.wall == 0, wall-m.now
	m.wall, m.wallAt = wall, m.now
	if moved := base - m.base; !first && max(moved, -moved) <= ClockStepMillis {
		return
	}
	m.base = base
	if first {
		return
	}
	for _, l := range m.links {
		if l.clock.waiting {
			l.clock.spoiled = true
			continue
		}
		m.ask(l)
	}
}

// tellClock answers, once the answer before it has gone out.
func (m *Machine) tellClock(l *link) {
	if l.answer.waiting {
		l.answer.owed = true
		return
	}
	l.answer = answerToClock{waiting: true}
	wall := m.wall + m.now - m.wallAt
	m.send(l, (&clockMessage{true, min(max(wall, 0), maxWallMillis)}).encode())
}

// clockFlushed gives the answer that is owed.
func (m *Machine) clockFlushed(l *link) {
	l.answer.waiting = false
	if l.answer.owed {
		m.tellClock(l)
	}
}

// askClock asks behind what is said anyway, if the last question is old.
func (m *Machine) askClock(l *link) {
	if m.now-l.clock.at >= ClockEveryMillis {
		m.ask(l)
	}
}

// ask asks for the peer's clock.
func (m *Machine) ask(l *link) {
	if l.greeted && l.speaks(FeatureClocks) {
		l.clock = question{at: m.now, waiting: true}
		m.send(l, (&clockMessage{}).encode())
	}
}

// onClock takes a question or an answer. An answer that nobody waits for means
// nothing.
func (m *Machine) onClock(l *link, c clockMessage) error {
	if !l.speaks(FeatureClocks) {
		return faultf(CodeProtocol, "a word of a feature that was not agreed on")
	}
	if !c.told {
		m.tellClock(l)
		return nil
	}
	switch {
	case l.clock.spoiled:
		m.ask(l)
	case l.clock.waiting:
		l.clock.waiting = false
		half := (m.now - l.clock.at + 1) / 2
		m.emit(PeerClock{l.id, c.wall + half, half + 1})
	}
	return nil
}
