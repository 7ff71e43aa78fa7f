package protocol

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// This file keeps the rules of sending deltas. One is built when the peer asks
// (Want), and without being asked when this very node wrote something and the
// peer was level before. Nothing else is pushed: what others wrote is told,
// and whoever lacks it asks one peer for it. So a payload reaches a node about
// once, not once per neighbour, and what came from a peer never goes back.

// mayPush reports whether the peer, if it asked to be spared, lacks nothing but
// what this node wrote and what comes to it from others.
func (m *Machine) mayPush(s *session) bool {
	if s.toSpare == nil {
		return true
	}
	for _, e := range s.known.Behind(s.space.own) {
		if n, ok := s.space.ns.NodeOf(e.Writer); !ok || n != m.node && !s.toSpare.has(n) {
			return false
		}
	}
	return true
}

// onSpare takes the request to push no more than what this node wrote.
func (m *Machine) onSpare(l *link, sp spare) error {
	if !l.speaks(FeatureSpare) {
		return faultf(CodeProtocol, "a message of a feature that was not agreed on")
	}
	s, err := m.numbered(l, sp.number)
	if s == nil || sp.epoch != s.sendEpoch {
		return err
	}
	if s.toSpare = s.toSpare.with(sp.nodes); len(s.toSpare.nodes) > MaxSpared {
		return faultf(CodeLimit, "more than %d nodes to spare", MaxSpared)
	}
	m.tend(s)
	return nil
}

// lacksOurs reports whether the peer lacks something that this node wrote.
func (s *session) lacksOurs() bool { return !s.known.CoversAll(s.space.mine) }

// build has a delta sent. Nothing that changes told is sent until it is built.
func (m *Machine) build(s *session) {
	j := m.newJob(s)
	j.generation = s.generation
	b := Build{
		Job: j.id, Link: s.link.id, Lane: s.space.priority.lane(), Namespace: s.space.ns, Number: s.number, Epoch: s.sendEpoch,
		From: s.known, Told: s.told, Introduced: s.introduced,
		Reconciles: s.link.speaks(FeatureReconcile), FloorTold: s.floorTold, Columns: s.link.speaks(FeatureColumns),
	}
	if s.link.speaks(FeaturePut) {
		b.Before = s.sent
	}
	if !s.wanted && s.toSpare != nil {
		b.OwnOnly, b.Node, b.Spared = true, m.node, s.toSpare.nodes
	}
	s.building, s.wanted, s.knownLent = j, false, true
	m.endOffer(s)
	m.emit(b)
}

// built ends a Build. What was sent counts as known to the peer from here on,
// unless it has refused a delta since, or its namespace was gone in between.
func (m *Machine) built(ev Built) {
	j := m.endJob(ev.Job)
	if j == nil {
		return
	}
	s := j.s
	same := !s.ended && j.generation == s.generation
	if ev.Offered && !same { // it was offered to a peer that knows nothing of it any more
		m.emit(EndServe{s.link.id, s.space.ns, uint64(j.id)})
	}
	if s.ended {
		return
	}
	s.building, s.sent = nil, ev.Sent
	if same {
		s.knownLent = false
		s.introduced = s.withIntroduced(ev.Introduced)
	}
	switch {
	case ev.Err == nil && ev.Withheld:
		s.live = false // until it is level again: it asks for what it is told of
		m.advance(s.space, s.space.ns.Past(ev.To))
		m.tendAll(s.space)
	case ev.Err == nil && ev.Offered && same:
		m.offered(s, ev)
	case ev.Err == nil && ev.Offered:
		m.advance(s.space, s.space.ns.Past(ev.To))
		m.tendAll(s.space)
	case ev.Err == nil:
		m.delivered(s, ev, same)
	case j.cancelled:
		m.tendAll(s.space)
	default:
		m.unread(s)
	}
}

// delivered takes note of a delta that was sent whole. A peer whose namespace
// has gone meanwhile was told nothing by it.
func (m *Machine) delivered(s *session, ev Built, same bool) {
	past := s.space.ns.Past(ev.To)
	if s.told != nil {
		s.told.Join(ev.To)
		s.floorTold = joined(s.floorTold, ev.Floor)
	}
	if same {
		s.learnt(past)
		s.live = true
	}
	s.withdrawn = 0
	m.advance(s.space, past) // the snapshot was durable
	m.tendAll(s.space)
}

// onWant takes the request for a delta. It may come before the peer was told
// again: a Build that was given up, but did not end yet, keeps that back.
func (m *Machine) onWant(l *link, w want) error {
	s, err := m.numbered(l, w.number)
	if s == nil || !s.paired() || s.theirs == nil {
		return err
	}
	s.wanted = true
	m.tend(s)
	return nil
}

// onRefuse believes the peer, forgets what was sent to it, and waits to be
// asked.
func (m *Machine) onRefuse(l *link, f refuse) error {
	s, err := m.numbered(l, f.number)
	if s == nil {
		return err
	}
	s.refusals++
	if s.refusals >= MaxRefusals {
		return faultf(CodeRefused, "%d deltas of namespace %q were refused, the last for: %s", s.refusals, s.name, f.reason)
	}
	s.sendEpoch = f.epoch
	m.replaceTheirs(s, f.entries)
	s.owes.writers = true
	m.tend(s)
	m.pull(s.space)
	return nil
}

// joined returns the join of both, which it leaves as they are.
func joined(a, b crdt.Vector) crdt.Vector {
	if len(b) == 0 {
		return a
	}
	a = a.Clone()
	a.Join(b)
	return a
}

// vectorOf returns the vector of some entries.
func vectorOf(entries []crdt.Dot) crdt.Vector {
	v := make(crdt.Vector, len(entries))
	for _, e := range entries {
		v[e.Writer] = e.Seq
	}
	return v
}

// withIntroduced returns introduced, which it leaves as it is, with more
// writers, and without those that the peer covers by now.
func (s *session) withIntroduced(more []crdt.WriterID) []crdt.WriterID {
	list := slices.Concat(s.introduced, more)
	list = slices.DeleteFunc(list, func(w crdt.WriterID) bool { return s.known.Seq(w) > 0 })
	slices.SortFunc(list, crdt.WriterID.Compare)
	return slices.Compact(list)
}
