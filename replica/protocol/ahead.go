package protocol

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// This file keeps the rules of noticing that others have more of this node than
// it has itself. That must be said before any of it is merged: the executor may
// go on with a writer of which more is known elsewhere, and would use its numbers
// again. So what is told is looked at, and, since records that tell whose it is may
// come later and over another link, what is about to be merged as well.

// noteAhead reports what p covers of this node's writers that is not durable
// here, but for writers of which the peer was reported to know more before: what
// was reported first may be of a copy of this node, and what is learnt later of
// the writer in use.
func (m *Machine) noteAhead(s *session, p *crdt.Past) {
	var ours []crdt.Dot
	for _, v := range p.Beyond(s.space.own) {
		if s.ahead[v.Writer] == 0 && m.wrote(s.space, v.Writer) {
			ours = append(ours, crdt.Dot{Writer: v.Writer, Seq: v.Last})
		}
	}
	if len(ours) == 0 {
		return
	}
	if s.ahead == nil {
		s.ahead = crdt.Vector{}
	}
	for _, d := range ours {
		s.ahead[d.Writer] = d.Seq
	}
	slices.SortFunc(ours, crdt.Dot.Compare)
	m.emit(Ahead{s.link.peer, s.space.ns, ours})
}

// noteComing looks again at what is about to be merged, now that more writers
// are known.
func (m *Machine) noteComing(sp *space) {
	for _, j := range sp.coming {
		j.came.past = sp.ns.Past(j.came.to)
		m.noteAhead(j.s, j.came.past)
	}
	for _, s := range sp.sessions {
		if j := s.comparing; j != nil {
			m.noteAhead(s, sp.ns.Past(j.with))
		}
	}
}
