package protocol

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// link is one connection to a peer. All that is known through it is forgotten
// with it.
type link struct {
	id       LinkID
	peer     crdt.NodeID
	instance Instance
	dialed   bool
	since    int64 // when it came up
	grants   Grants
	seq      SeqChecker

	greeted  bool      // the peer's Hello came
	silent   bool      // nothing came since another instance of the node did
	features []Feature // that both Hellos list
	deadline int64     // for it
	class    Class
	queued   [Lanes]bool // frames were sent on a lane since it was Flushed
	numbers  uint64
	epochs   uint64
	clock    question
	answer   answerToClock

	heldBytes int // of the frames of deltas that wait (hold.go)

	sessions []*session // in the order in which either side named them
	byName   map[string]*session
	names    []string        // what the peer numbered 1, 2, ...; "" is gone
	ended    map[string]bool // what was announced to it and is not here: it may have sent more
}

// end names one end of a link: which opening of which node.
type end struct {
	node     crdt.NodeID
	instance Instance
}

func (e end) compare(o end) int {
	return cmp.Or(e.node.Compare(o.node), bytes.Compare(e.instance[:], o.instance[:]))
}

// far returns the other end.
func (l *link) far() end { return end{l.peer, l.instance} }

// dialer returns the end that dialed.
func (l *link) dialer(self end) end {
	if l.dialed {
		return self
	}
	return l.far()
}

func (l *link) mayRead(namespace string) bool {
	return l.grants == nil || l.grants.MayRead(namespace)
}

func (l *link) mayWrite(namespace string) bool {
	return l.grants == nil || l.grants.MayWrite(namespace)
}

// nextEpoch returns an epoch that no delta on this link was built for.
func (l *link) nextEpoch() uint64 {
	l.epochs++
	return l.epochs
}

// linkUp takes in a new link, unless it is to be closed: both ends decide the
// same way which of two links between them stays. Another instance of a node
// that is linked is another end, with a link of its own.
func (m *Machine) linkUp(ev LinkUp) {
	l := &link{
		id: ev.Link, peer: ev.Peer, instance: ev.Instance, dialed: ev.Dialed, since: m.now, grants: ev.Grants, class: ev.Class,
		deadline: m.now + HelloTimeoutMillis, byName: map[string]*session{}, ended: map[string]bool{},
	}
	switch old := m.linkTo(l.far()); {
	case l.far() == m.self:
		m.emit(Close{l.id, CodeSelf, "the other end is this node"})
		return
	case m.revoked.node(l.peer):
		m.emit(Close{l.id, CodeRevoked, "the credential was revoked"})
		return
	case old != nil && m.keeps(old, l):
		m.emit(Close{l.id, CodeDuplicate, "a link to this node is up"})
		return
	case old != nil:
		m.close(old, CodeDuplicate, "another link to this node came up")
	}
	m.noteSilence(l.peer)
	m.links = append(m.links, l)
	m.byID[l.id] = l
	m.greet(l)
}

// keeps reports whether the older of two links to one end stays: the one that
// the smaller end dialed, if both dialed at a time; of two by one dialer the
// newer, and of two that came up apart as well, since who dialed it knows that
// the older is dead.
func (m *Machine) keeps(old, l *link) bool {
	return m.now-old.since < CrossMillis && old.dialer(m.self).compare(l.dialer(m.self)) < 0
}

// linkTo returns the link to an end.
func (m *Machine) linkTo(e end) *link {
	for _, l := range m.links {
		if l.far() == e {
			return l
		}
	}
	return nil
}

// noteSilence is due when another instance of a node comes up. Is it a copy of
// that node, the links to the others work; did it start again, they are dead,
// and their own ends cannot say so. Until something comes on them, others are
// asked first, and answers are not waited for as long.
func (m *Machine) noteSilence(n crdt.NodeID) {
	for _, l := range m.links {
		if l.peer != n {
			continue
		}
		l.silent = true
		for _, s := range l.sessions {
			if s.space != nil && s.space.fetch != nil && s.space.fetch.s == s {
				s.space.fetch.progress = m.now
				m.checkFetch(s.space)
				m.pull(s.space)
			}
		}
	}
}

// close closes a link and forgets it.
func (m *Machine) close(l *link, code Code, reason string) {
	m.emit(Close{l.id, code, reason})
	m.drop(l)
}

// drop forgets a link. Deltas that came whole on it are applied all the same.
func (m *Machine) drop(l *link) {
	m.links = slices.DeleteFunc(m.links, func(o *link) bool { return o == l })
	delete(m.byID, l.id)
	var left []*space
	for _, s := range l.sessions {
		if s.space != nil {
			left = append(left, s.space)
		}
		m.end(s)
	}
	for _, sp := range left {
		m.pull(sp)
	}
}

// send queues a frame that is about the link.
func (m *Machine) send(l *link, f Frame) {
	m.queue(l, 0, f)
}

// sendOn queues a frame that speaks of a session's namespace.
func (m *Machine) sendOn(s *session, f Frame) { m.queue(s.link, s.space.priority.lane(), f) }

func (m *Machine) queue(l *link, lane Lane, f Frame) {
	l.queued[lane] = true
	m.emit(Send{l.id, lane, f})
	m.askClock(l)
}

// flushed says on a link what was held back while it was busy.
func (m *Machine) flushed(l *link, lane Lane) {
	l.queued[lane] = false
	if lane == 0 {
		m.clockFlushed(l)
	}
	for _, s := range l.sessions {
		m.tend(s)
	}
}
