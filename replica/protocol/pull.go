package protocol

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// This file keeps the rules of asking for deltas. Per namespace one peer is
// asked at a time, and it is asked for all that it has. So however many
// neighbours offer a payload, one sends it.

// fetch is a Want that is answered now, a delta that came unasked and goes on,
// or a heal: while there is one no other peer is asked.
type fetch struct {
	s        *session
	advances int   // of the namespace's vector when it began
	progress int64 // when something last came
	checkAt  int64 // when to look whether anything did
	heals    bool  // a snapshot that the peer offered for that is compared with ours
}

// pull asks for what is lacking, if something is and nothing is under way. It
// is due whenever what is lacking, or under way, may have changed.
func (m *Machine) pull(sp *space) {
	if f := sp.fetch; f != nil {
		for _, s := range sp.sessions {
			m.schedule(s)
		}
		sp.nextAt = f.checkAt
		return
	}
	if m.compareOffered(sp) {
		return
	}
	var best *session
	sp.nextAt = 0
	for _, s := range sp.sessions {
		m.schedule(s)
		switch at := max(s.wantAt, s.retryAt); {
		case s.wantAt == 0 || !s.mayWant():
		case at > m.now:
			sp.nextAt = earlier(sp.nextAt, at)
		case best == nil || s.before(best):
			best = s
		}
	}
	if best != nil {
		m.sendOn(best, (&want{best.number}).encode())
		m.beginFetch(best)
	}
}

// askAtOnce asks behind our vector, which is empty, without waiting for the
// peer's: what its Hello says is that it has something. A node that has nothing
// sees what a peer has a round trip earlier. One that has something does not ask
// so, since the peer may not know of all our writers yet, and would send what
// they wrote.
func (m *Machine) askAtOnce(s *session) {
	s.owes.want = false
	if sp := s.space; sp.fetch == nil && s.theirs == nil && len(sp.normal) == 0 && s.link.mayWrite(s.name) {
		m.sendOn(s, (&want{s.number}).encode())
		m.beginFetch(s)
	}
}

// before reports whether s is to be asked rather than another.
func (s *session) before(o *session) bool {
	if s.link.silent != o.link.silent {
		return o.link.silent
	}
	return s.failures < o.failures
}

// mayWant reports whether the peer can be asked: it knows what we cover, with
// the records behind it, and we would take what it sends.
func (s *session) mayWant() bool {
	return s.met() && s.owes.refusal == 0 && !s.owes.writers && len(s.held) == 0 && s.link.mayWrite(s.name)
}

// schedule sets when the peer is to be asked. What a neighbour tells may be on
// its way from the node that wrote it: then it is given a moment to come.
func (m *Machine) schedule(s *session) {
	direct, lacking := m.lacks(s)
	switch {
	case !lacking:
		s.wantAt = 0
	case s.wantAt != 0:
	case direct:
		s.wantAt = m.now + FetchDelayMillis
	default:
		s.wantAt = m.now
	}
}

// lacks reports whether the peer has something that is neither here nor on its
// way, and whether a node that wrote some of it is linked to this one.
func (m *Machine) lacks(s *session) (direct, lacking bool) {
	for w, seq := range s.missing {
		if s.space.brings(w, seq) {
			continue
		}
		lacking = true
		n, ok := s.space.ns.NodeOf(w)
		if !ok || n == m.node {
			direct = true // not known yet; our own, whose Durable is late
			continue
		}
		direct = direct || m.meets(n, s)
	}
	return direct, lacking
}

// meets reports whether a node is linked, by a link other than that of s, and
// speaks of the same namespace.
func (m *Machine) meets(n crdt.NodeID, s *session) bool {
	return slices.ContainsFunc(m.links, func(l *link) bool {
		o := l.byName[s.name]
		return l.peer == n && l != s.link && o != nil && o.met()
	})
}

func (m *Machine) beginFetch(s *session) {
	s.space.fetch = &fetch{s: s, advances: s.space.advances, progress: m.now, checkAt: m.now + FetchTimeoutMillis}
	s.space.nextAt = s.space.fetch.checkAt
}

// served reports whether a delta of s that was applied brought something, or
// all that there was. A peer that tells of things and does not send them is not
// asked again and again.
func (m *Machine) served(s *session) bool {
	f := s.space.fetch
	if f == nil || f.s != s || f.advances != s.space.advances {
		return true
	}
	_, lacking := m.lacks(s)
	return !lacking
}

// endFetch ends what s fetches, if it does, so that the next may begin. After
// a failure others go first, and s waits. A heal that breaks off may have
// changed something before.
func (m *Machine) endFetch(s *session, ok bool) {
	sp := s.space
	if sp.fetch == nil || sp.fetch.s != s {
		return
	}
	heals := sp.fetch.heals
	sp.fetch = nil
	m.cancelCompare(s)
	if heals {
		m.endHeal(s, true)
	}
	if ok {
		s.failures = 0
		return
	}
	s.failures++
	s.retryAt = m.now + backoff(s.failures)
}

// noteProgress notes that a part of a delta came.
func (m *Machine) noteProgress(s *session, last bool) {
	switch f := s.space.fetch; {
	case f != nil && f.s == s:
		f.progress = m.now
	case f == nil && !last:
		m.beginFetch(s)
	}
}

// checkFetch ends a fetch that makes no progress.
func (m *Machine) checkFetch(sp *space) {
	f := sp.fetch
	for _, j := range sp.coming {
		if j.s == f.s {
			f.progress = m.now // what came whole is being applied
		}
	}
	timeout := int64(FetchTimeoutMillis)
	switch {
	case f.s.link.silent:
		timeout = SilentTimeoutMillis
	case f.s.comparing != nil:
		timeout = CompareTimeoutMillis
	}
	if f.checkAt = f.progress + timeout; f.checkAt <= m.now {
		m.endFetch(f.s, false)
	}
}

// backoff returns the pause after the n-th failure in a row, in milliseconds.
func backoff(n int) int64 {
	return min(int64(RetryDelayMillis)<<min(n-1, 16), MaxRetryDelayMillis)
}
