package protocol

import (
	"errors"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// This file keeps the rules of taking deltas. A delta names the epoch that it
// was built for. While none fails, each is applied before the next, so that
// what the sender believes comes true. Once one fails, the epoch changes, all
// that was built on it is thrown away, and the sender is told to begin again
// at what is really here.

// onDelta takes a frame of a delta. What its last frame tells of the sender
// holds even if the delta is thrown away: the sender counts it as told.
func (m *Machine) onDelta(l *link, d deltaHead, body []byte) error {
	s, err := m.numbered(l, d.number)
	if s == nil {
		return err
	}
	if l.speaks(FeaturePut) {
		s.noteCame(&d, body)
	}
	if d.floor != nil && !l.speaks(FeatureReconcile) {
		return faultf(CodeProtocol, "a floor, which was not agreed on")
	}
	if d.brings != nil && !l.speaks(FeatureSpare) {
		return faultf(CodeProtocol, "a part of a delta, which was not agreed on")
	}
	if isColumns(body) && !l.speaks(FeatureColumns) {
		return faultf(CodeProtocol, "records in columns, which were not agreed on")
	}
	return m.takeDelta(s, d, body)
}

func (m *Machine) takeDelta(s *session, d deltaHead, body []byte) error {
	if d.last && s.theirs != nil {
		if err := m.addTheirs(s, d.diff); err != nil {
			return err
		}
		if s.floor = joined(s.floor, d.floor); len(s.floor) > crdt.MaxVectorEntries {
			return faultf(CodeLimit, "a floor of more than %d entries", crdt.MaxVectorEntries)
		}
	}
	if d.epoch != s.recvEpoch || !s.paired() {
		m.pull(s.space)
		return nil
	}
	switch {
	case s.theirs == nil:
		return faultf(CodeProtocol, "a delta before the sender's vector")
	case !s.link.mayWrite(s.name):
		m.refuse(s, reasonForbidden)
	default:
		m.apply(s, d, body)
	}
	return nil
}

// apply has a frame applied, at once or, behind what it builds on, later.
func (m *Machine) apply(s *session, d deltaHead, body []byte) {
	a := m.arrived(s, d, body)
	m.askToSpare(s, a)
	m.noteProgress(s, d.last)
	if len(s.held) > 0 || s.early(a) {
		m.hold(s, a)
	} else {
		m.take(s, a)
	}
	m.tend(s)
	m.pull(s.space)
}

// take has a frame applied.
func (m *Machine) take(s *session, a *arrival) {
	first := s.receiving == nil
	if first {
		s.receiving = m.newJob(s)
	}
	j := s.receiving
	e := Apply{
		Job: j.id, Link: s.link.id, Namespace: s.space.ns, Epoch: a.epoch,
		First: first, Last: a.last, Body: a.body,
	}
	if a.last {
		j.came = a
		e.To, e.Floor = a.to, a.total
		s.receiving = nil
		s.space.coming = append(s.space.coming, j)
		m.noteAhead(s, a.past)
	}
	m.emit(e)
}

// applies reports whether a delta that is being applied brings (w, seq).
func (sp *space) applies(w crdt.WriterID, seq uint64) bool {
	return slices.ContainsFunc(sp.coming, func(j *job) bool { return j.came.has(w, seq) })
}

// brings reports whether a delta that came whole brings (w, seq).
func (sp *space) brings(w crdt.WriterID, seq uint64) bool {
	if sp.applies(w, seq) {
		return true
	}
	for _, s := range sp.sessions {
		if slices.ContainsFunc(s.held, func(a *arrival) bool { return a.last && a.has(w, seq) }) {
			return true
		}
	}
	return false
}

// applied ends a delta, for good or not.
func (m *Machine) applied(ev Applied) {
	j := m.endJob(ev.Job)
	if j == nil {
		return
	}
	s, sp := j.s, j.s.space
	sp.coming = slices.DeleteFunc(sp.coming, func(o *job) bool { return o == j })
	if ev.Err != nil {
		m.failed(s, ev.Err)
		return
	}
	m.advance(sp, ev.Durable)
	if f := sp.fetch; f == nil || !f.heals {
		m.endFetch(s, m.served(s))
	}
	m.tendAll(sp)
}

// failed does what the failure of a delta asks for. Those that came after it
// in the session are not going to be applied either.
func (m *Machine) failed(s *session, err error) {
	m.forgetComing(s)
	code, bad := hostile(err)
	switch {
	case s.ended:
		m.pull(s.space)
	case bad:
		m.close(s.link, code, err.Error())
	case errors.Is(err, crdt.ErrUnknownWriter):
		m.refuse(s, reasonUnknownWriter)
	default:
		m.refuse(s, reasonStore)
	}
}

// refuse begins a new epoch: what was sent for the older one is thrown away.
func (m *Machine) refuse(s *session, why reason) {
	s.beginEpoch()
	s.owes.refusal = why
	m.cancelReceive(s)
	m.forgetComing(s)
	m.endFetch(s, false)
	m.tend(s)
	m.pull(s.space)
}

// forgetComing forgets the deltas of a session that came whole.
func (m *Machine) forgetComing(s *session) {
	s.space.coming = slices.DeleteFunc(s.space.coming, func(j *job) bool {
		if j.s == s {
			m.endJob(j.id)
		}
		return j.s == s
	})
}

// tellRefusal tells the peer of it. The vector begins told anew, as it does
// what the peer believes of us.
func (m *Machine) tellRefusal(s *session) {
	why := s.owes.refusal
	s.owes.refusal, s.owes.vector = 0, false
	m.tellAnew(s, func(entries []crdt.Dot) Frame {
		return encodeRefuse(s.number, s.recvEpoch, why, entries)
	})
}
