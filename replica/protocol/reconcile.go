package protocol

import (
	"errors"

	"github.com/anabranch-db/anabranch/crdt"
)

// This file keeps the rules of reconciling. Who asks for a delta and is below
// the floor of the peer gets a Source instead. It compares the snapshot that
// is offered with its own, by compares and answers in turn, takes what differs
// over the disk, and merges it at once in the end. For the machine that is a
// fetch that takes long: meanwhile deltas of others are applied as ever, and
// when it breaks off another peer is asked.

// onSource takes the offer of a snapshot, if we still wait for this peer.
func (m *Machine) onSource(l *link, src source) error {
	s, err := m.reconciling(l, src.number)
	if s == nil {
		return err
	}
	f := s.space.fetch
	if f == nil || f.s != s || f.heals || !s.met() {
		return nil
	}
	m.cancelCompare(s)
	s.comparing, s.run = m.newJob(s), src.run
	s.comparing.with = src.vector
	m.noteAhead(s, s.space.ns.Past(src.vector))
	f.progress = m.now
	m.emit(Reconcile{
		Job: s.comparing.id, Link: l.id, Lane: s.space.priority.lane(), Namespace: s.space.ns, Number: s.number, Run: src.run,
		Vector: src.vector, Floor: src.floor,
	})
	m.pull(s.space)
	return nil
}

// onAnswer takes a frame of an answer to a compare.
func (m *Machine) onAnswer(l *link, a answerHead, body []byte) error {
	s, err := m.reconciling(l, a.number)
	if s == nil || s.comparing == nil || s.run != a.run {
		return err
	}
	if !l.speaks(FeatureColumns) && answersInColumns(body) {
		return faultf(CodeProtocol, "records in columns, which were not agreed on")
	}
	m.noteProgress(s, a.last)
	m.emit(TakeAnswer{Job: s.comparing.id, Link: l.id, Namespace: s.space.ns, Last: a.last, Body: body})
	return nil
}

// onCompare has a compare answered.
func (m *Machine) onCompare(l *link, c compareHead, body []byte) error {
	s, err := m.reconciling(l, c.number)
	switch {
	case s == nil || !s.met():
		return err
	case s.outdated():
		s.wanted = true // once that has ended there is another offer
		return nil
	case s.answering != nil:
		return faultf(CodeProtocol, "a compare before the answer to the last one")
	case c.run != 0 && c.run < s.source && c.run != s.heal.serves:
		return nil // a later offer is on its way
	case c.run == 0 || c.run != s.source && c.run != s.heal.serves:
		s.wanted = true // the offer is gone; there will be another
		m.tend(s)
		return nil
	}
	s.answering = m.newJob(s)
	s.answering.run, s.answering.heals = c.run, c.run == s.heal.serves
	if s.answering.heals {
		m.awaitCompares(s)
	}
	m.emit(Serve{
		Job: s.answering.id, Link: l.id, Lane: s.space.priority.lane(), Namespace: s.space.ns, Number: s.number, Run: c.run,
		Columns: l.speaks(FeatureColumns), Body: body,
	})
	return nil
}

// outdated reports whether a compare is being answered with an offer that has
// ended: the peer got from another what it lacked, or announced the namespace
// anew. It does not wait for that answer, and may be about to ask for another; but
// there is one at a time.
func (s *session) outdated() bool {
	j := s.answering
	return j != nil && j.run != s.source && j.run != s.heal.serves
}

// reconciling returns the session that a message names, if the feature was
// agreed on.
func (m *Machine) reconciling(l *link, number uint64) (*session, error) {
	if !l.speaks(FeatureReconcile) {
		return nil, faultf(CodeProtocol, "a message of a feature that was not agreed on")
	}
	return m.numbered(l, number)
}

// offered takes note of a Source that was sent. Nothing is pushed to the peer
// before it is level again.
func (m *Machine) offered(s *session, ev Built) {
	s.offered, s.source, s.live = s.space.ns.Past(ev.To), uint64(ev.Job), false
	s.wanted = false // whoever asked meanwhile gets this

	m.advance(s.space, s.offered) // the snapshot was durable
	m.tendAll(s.space)
}

// endOffer lets the snapshot go that was offered, once the peer has it, or is
// not going to take it.
func (m *Machine) endOffer(s *session) {
	if s.offered != nil {
		m.emit(EndServe{s.link.id, s.space.ns, s.source})
		s.offered, s.source = nil, 0
	}
}

// servedCompare ends a Serve.
func (m *Machine) servedCompare(ev Served) {
	j := m.endJob(ev.Job)
	if j == nil || j.s.ended {
		return
	}
	s := j.s
	outdated := s.outdated()
	s.answering = nil
	if ev.Err == nil {
		if outdated {
			m.tend(s)
		}
		return
	}
	if code, bad := hostile(ev.Err); bad {
		m.close(s.link, code, ev.Err.Error())
		return
	}
	switch {
	case j.heals && j.run == s.heal.serves:
		m.endHealOffer(s)
	case !j.heals && j.run == s.source:
		m.endOffer(s)
	}
	if j.heals {
		if outdated {
			m.tend(s)
		}
		return // the peer gives up by itself
	}
	s.wanted = true
	m.tend(s)
}

// reconciled ends a reconciliation, for good or not.
func (m *Machine) reconciled(ev Reconciled) {
	j := m.endJob(ev.Job)
	if j == nil || j.s.ended {
		return
	}
	s := j.s
	s.comparing = nil
	if f := s.space.fetch; f != nil && f.s == s && f.heals {
		m.endHeal(s, ev.Healed)
	}
	if ev.Err != nil {
		m.endFetch(s, false)
		m.uncompared(s, ev.Err)
		return
	}
	m.advance(s.space, ev.Durable)
	m.endFetch(s, true)
	m.tendAll(s.space)
}

// uncompared does what the failure of a reconciliation asks for. Records of
// writers that could not be kept are sent again only to who refuses.
func (m *Machine) uncompared(s *session, err error) {
	switch code, bad := hostile(err); {
	case bad:
		m.close(s.link, code, err.Error())
	case errors.Is(err, crdt.ErrUnknownWriter):
		m.refuse(s, reasonUnknownWriter)
	default:
		m.pull(s.space)
	}
}

// cancelCompare gives up a reconciliation.
func (m *Machine) cancelCompare(s *session) {
	if j := s.comparing; j != nil {
		s.comparing = nil
		m.endJob(j.id)
		m.emit(Cancel{j.id})
	}
}
