package protocol

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// LinkStatus is what a machine knows of a link, for people to read.
type LinkStatus struct {
	Link     LinkID
	Peer     crdt.NodeID
	Instance Instance
	// Greeted is whether the peer has said Hello.
	Greeted bool
	// Features are those that both ends have.
	Features []Feature
	// Namespaces are those that either side announced, in the order in which
	// they did.
	Namespaces []SessionStatus
}

// SessionStatus is what a machine knows of a namespace on a link.
type SessionStatus struct {
	Namespace string
	// Here and There are whether it is announced by this side, and by the peer.
	Here, There bool
	// Met is whether both sides know what the other covers. If not, what
	// follows says nothing.
	Met bool
	// PeerLacks and Lacking count the entries, of vectors in normal form, of
	// which one side has more than the other: the peer lacks, and this node.
	// Deltas under way count as arrived for the peer, and as lacking here until
	// they are durable.
	PeerLacks, Lacking int
	// Live is whether this node's commits are pushed.
	Live bool
	// Sending and Fetching are whether a delta is being built for the peer, and
	// whether one was asked for or is coming.
	Sending, Fetching bool
	// Refusals and Failures count deltas in a row that the peer refused, and
	// that could not be fetched from it.
	Refusals, Failures int
}

// Links returns the state of all links, in order of their LinkUp. Like Step it
// is for the goroutine that steps the machine.
func (m *Machine) Links() []LinkStatus {
	out := make([]LinkStatus, 0, len(m.links))
	for _, l := range m.links {
		ls := LinkStatus{Link: l.id, Peer: l.peer, Instance: l.instance, Greeted: l.greeted, Features: slices.Clone(l.features)}
		for _, s := range l.sessions {
			ls.Namespaces = append(ls.Namespaces, s.status())
		}
		out = append(out, ls)
	}
	return out
}

// Coverage is what peers have of a namespace. Its pasts are the caller's.
type Coverage struct {
	// Linked is how many peers are linked that take the namespace, and Least
	// what all of them cover, or will when the deltas under way arrive.
	Linked int
	Least  *crdt.Past
	// Some is what at least one peer has told that it covers, linked or not.
	Some *crdt.Past
}

// Coverage returns what peers have of a namespace. Like Step it is for the
// goroutine that steps the machine.
func (m *Machine) Coverage(namespace string) (c Coverage) {
	sp := m.space(namespace)
	if sp == nil {
		return c
	}
	c.Some = m.Covered(namespace)
	for _, s := range sp.sessions {
		if s.peerNumber == 0 {
			continue
		}
		known := s.known
		if !s.met() {
			known = sp.ns.Past(nil)
		}
		if c.Linked++; c.Linked == 1 {
			c.Least = known.Clone()
			continue
		}
		c.Least.Meet(known)
	}
	return c
}

// Covered returns what at least one peer has told that it covers of a namespace,
// linked or not; nil if the namespace is not open. It is the caller's. Like
// Step it is for the goroutine that steps the machine.
func (m *Machine) Covered(namespace string) *crdt.Past {
	sp := m.space(namespace)
	if sp == nil {
		return nil
	}
	return sp.others.Clone()
}

// Filled reports whether all is here that some peer has, which has something,
// be it little. Like Step it is for the goroutine that steps the machine.
func (m *Machine) Filled(namespace string) bool {
	sp := m.space(namespace)
	return sp != nil && len(sp.coming) == 0 && slices.ContainsFunc(sp.sessions, func(s *session) bool {
		return s.met() && len(s.theirs) > 0 && len(s.missing) == 0
	})
}

func (s *session) status() SessionStatus {
	st := SessionStatus{
		Namespace: s.name, Here: s.number != 0, There: s.peerNumber != 0, Met: s.met(),
		Live: s.live, Sending: s.building != nil, Refusals: s.refusals, Failures: s.failures,
	}
	if st.Met {
		st.PeerLacks = len(s.known.Behind(s.space.own))
		st.Lacking = len(s.missing)
		st.Fetching = s.space.fetch != nil && s.space.fetch.s == s
	}
	return st
}

// Load is what a machine keeps beside its namespaces, for those who watch that
// it is bounded. Like Step it is for the goroutine that steps the machine.
type Load struct {
	// Links are those that are up, and Sessions the namespaces on them, here or
	// there.
	Links, Sessions int
	// Jobs are those that the executor works at.
	Jobs int
	// Held are the frames that wait for what they build on, and HeldBytes about
	// what they take: MaxHeldBytes at most.
	Held, HeldBytes int
	// Entries are those of all vectors that the sessions keep, normal form or not.
	Entries int
	// Introduced are the writers that were sent, counted for each session.
	Introduced int
}

// Load returns what the machine keeps.
func (m *Machine) Load() Load {
	l := Load{Links: len(m.links), Jobs: len(m.jobs)}
	for _, ln := range m.links {
		l.Sessions += len(ln.sessions)
		l.HeldBytes += ln.heldBytes
		for _, s := range ln.sessions {
			l.Held += len(s.held)
			l.Entries += len(s.told) + len(s.theirs) + len(s.missing) + len(s.floor) + len(s.floorTold) + len(s.greeted)
			l.Introduced += len(s.introduced)
		}
	}
	return l
}
