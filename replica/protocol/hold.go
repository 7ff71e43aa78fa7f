package protocol

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// This file keeps the rules of sparing at the node that is spared. In a mesh
// a payload comes from the node that wrote it, and once more from each
// neighbour that writes, having seen it, before it is told that we have it.
// Such a neighbour is asked to leave it out. What it pushes then builds on
// transactions that come over other links, and is held until they are here:
// causal delivery, as in a causal broadcast, for deltas. If they do not come
// the delta is refused, with which the asking ends, and fetched instead.

// arrival is a frame of a delta as it came, and of the last one what the
// sender had told then.
type arrival struct {
	deltaHead
	body  []byte
	to    crdt.Vector // the sender's vector
	past  *crdt.Past  // what that covers, as far as its writers are known
	total crdt.Vector // the sender's floor
	came  int64
	dueAt int64 // of what is held: when to look at it
	bytes int   // of what is held: about what it takes
}

func (m *Machine) arrived(s *session, d deltaHead, body []byte) *arrival {
	a := &arrival{deltaHead: d, body: body, came: m.now}
	if d.last {
		a.to, a.total = s.theirs.Clone(), s.floor
		a.past = s.space.ns.Past(a.to)
	}
	return a
}

// has reports whether the delta itself brings (w, seq), unless that was durable
// here before. It is to be asked of what came whole.
func (a *arrival) has(w crdt.WriterID, seq uint64) bool {
	return (a.deltaHead.brings == nil || a.deltaHead.brings[w] > 0) && a.past.Seq(w) >= seq
}

// needs returns what the delta builds on that is not durable here.
func (s *session) needs(a *arrival) (needed []crdt.Dot) {
	for _, v := range a.past.Beyond(s.space.own) {
		seq := v.Last
		if first := a.deltaHead.brings[v.Writer]; first > 0 {
			seq = min(seq, first-1)
		}
		if v.After < seq {
			needed = append(needed, crdt.Dot{Writer: v.Writer, Seq: seq})
		}
	}
	return needed
}

// early reports whether something that a delta builds on is not durable here,
// or not known to be while writer records of its sender are checked.
func (s *session) early(a *arrival) bool {
	return a.deltaHead.brings != nil && (s.learning > 0 || len(s.needs(a)) > 0)
}

// hold keeps a frame until what it builds on is here. Where that is too much,
// the link goes without that has the most.
func (m *Machine) hold(s *session, a *arrival) {
	a.dueAt = m.now + HoldMillis
	a.bytes = a.memory()
	s.held = append(s.held, a)
	s.link.heldBytes += a.bytes
	for {
		sum, most := 0, s.link
		for _, l := range m.links {
			if sum += l.heldBytes; l.heldBytes > most.heldBytes {
				most = l
			}
		}
		if sum <= MaxHeldBytes {
			break
		}
		for _, o := range most.sessions {
			if len(o.held) > 0 {
				m.refuse(o, reasonAwaited)
			}
		}
	}
	m.scheduleHeld(s.space)
}

// memory returns about how many bytes a takes.
func (a *arrival) memory() int {
	entries := len(a.to) + len(a.total) + len(a.deltaHead.diff) + len(a.deltaHead.floor) + len(a.deltaHead.brings)
	n := arrivalMemory + len(a.body) + entryMemory*entries
	if a.past != nil {
		n += a.past.Bytes()
	}
	return n
}

// unhold takes the first frame out of what is held.
func (s *session) unhold() *arrival {
	a := s.held[0]
	s.held = s.held[1:]
	s.link.heldBytes -= a.bytes
	return a
}

// deliver takes what was held and can be applied now.
func (m *Machine) deliver(sp *space) {
	for _, s := range sp.sessions {
		for len(s.held) > 0 && !s.early(s.held[0]) {
			m.take(s, s.unhold())
		}
	}
	m.scheduleHeld(sp)
}

// scheduleHeld sets when to look at what is held.
func (m *Machine) scheduleHeld(sp *space) {
	sp.heldAt = 0
	for _, s := range sp.sessions {
		if len(s.held) > 0 {
			sp.heldAt = earlier(sp.heldAt, s.held[0].dueAt)
		}
	}
}

// checkHeld refuses what was held for too long, unless what it builds on is
// coming: then it waits for as long as a fetch would, so that nobody who leaves
// a delta open stops what others send.
func (m *Machine) checkHeld(sp *space) {
	for _, s := range slices.Clone(sp.sessions) {
		if len(s.held) == 0 || s.held[0].dueAt > m.now {
			continue
		}
		if a := s.held[0]; m.now-a.came < FetchTimeoutMillis && m.awaits(s, a) {
			a.dueAt = m.now + HoldMillis
			continue
		}
		m.refuse(s, reasonAwaited)
	}
	m.scheduleHeld(sp)
}

// awaits reports whether all that a delta builds on is being applied, or part
// of something that is coming. What is held as well is neither, nor what ends
// in something that is held: two deltas of several transactions each can build
// on each other.
func (m *Machine) awaits(s *session, a *arrival) bool {
	for _, d := range s.needs(a) {
		if s.space.applies(d.Writer, d.Seq) {
			continue
		}
		n, ok := s.space.ns.NodeOf(d.Writer)
		if !ok || !slices.ContainsFunc(s.space.sessions, func(o *session) bool {
			return o.link.peer == n && o != s && o.receiving != nil && len(o.held) == 0
		}) {
			return false
		}
	}
	return true
}

// askToSpare asks the peer to leave out what is here already, if a delta that
// was not asked for brought such.
func (m *Machine) askToSpare(s *session, a *arrival) {
	if f := s.space.fetch; !a.last || !s.link.speaks(FeatureSpare) || f != nil && f.s == s {
		return
	}
	repeated := m.repeated(s, a)
	if len(repeated) == 0 {
		return
	}
	if len(s.space.sessions) <= maxSparedAtOnce { // the others are next
		for _, o := range s.space.sessions {
			repeated = withNode(repeated, o.link.peer)
		}
	}
	nodes := slices.DeleteFunc(repeated, func(n crdt.NodeID) bool { return s.asked.has(n) || !m.meets(n, s) })
	if s.asked != nil && (len(nodes) == 0 || len(s.asked.nodes)+len(nodes) > MaxSpared) {
		return
	}
	s.asked = s.asked.with(nodes)
	m.sendOn(s, (&spare{s.number, s.recvEpoch, nodes}).encode())
}

// repeated returns the nodes of whom a delta brings events, and nothing is
// lacking. What this node wrote itself comes back only if it crossed the delta.
func (m *Machine) repeated(s *session, a *arrival) (nodes []crdt.NodeID) {
	for _, w := range writersOf(a.body) {
		n, ok := s.space.ns.NodeOf(w)
		seq := a.past.Seq(w)
		if here := s.space.own.Seq(w) >= seq || s.space.brings(w, seq); ok && here && n != s.link.peer && n != m.node {
			nodes = withNode(nodes, n)
		}
	}
	return nodes
}

// beginEpoch makes what the peer sent for the epoch before worth nothing.
func (s *session) beginEpoch() {
	s.recvEpoch = s.link.nextEpoch()
	s.asked = nil
	s.dropHeld()
}

// dropHeld throws away what is held.
func (s *session) dropHeld() {
	for len(s.held) > 0 {
		s.unhold()
	}
	s.held = nil
}
