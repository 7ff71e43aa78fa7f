package protocol

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// session is one namespace on one link: what either end knows of the other.
// It ends, and another begins, when the namespace is closed here.
type session struct {
	link  *link
	name  string
	space *space // nil: not open here, or not for this peer
	ended bool

	// What the peer knows of us.

	number    uint64          // our number of the namespace, 0: not announced
	greeted   crdt.Vector     // what our Hello stood for, until theirs comes
	greeting  crdt.VectorHash // its hash
	told      crdt.Vector     // what our frames add up to over there; nil: nothing
	recvEpoch uint64          // what a delta to us must name
	asked     *spared         // whom it was asked to spare us, in this epoch; nil: it was not asked
	floorTold crdt.Vector     // of our floor, with deltas
	owes      struct {
		vector  bool   // the peer has nothing that we told
		writers bool   // it may lack records of ours that its vector does not cover
		want    bool   // nothing is here, and something there
		refusal reason // a delta was refused; 0: none
	}

	// What we know of the peer.

	peerNumber uint64          // its number, 0: not announced
	theirs     crdt.Vector     // what its frames add up to; nil: nothing
	floor      crdt.Vector     // its floor, as its deltas told
	missing    crdt.Vector     // the entries of theirs that are not durable here
	known      *crdt.Past      // theirs, and what deltas bring it to
	knownLent  bool            // a Build reads known; it is not to be changed
	generation int             // counts when known was begun anew
	sendEpoch  uint64          // what a delta to it must name
	sent       Sent            // by the last delta to it
	came       lone            // by the last delta of it
	open       *uint64         // the epoch of a delta of it of which the last frame did not come; nil: none
	introduced []crdt.WriterID // whose records were sent, ordered
	live       bool            // it was level once: what we write is pushed
	wanted     bool            // it asked for a delta
	refusals   int             // in a row
	ahead      crdt.Vector     // what it was first reported to know of our writers beyond us
	lost       bool            // records that it sent may not have been kept
	toSpare    *spared         // whom it asked to be spared; nil: it did not ask

	// What the executor does.

	building  *job
	comparing *job // our snapshot is compared with the peer's
	run       uint64
	answering *job       // a compare of the peer is answered
	offered   *crdt.Past // of the snapshot that it was offered for a delta; nil: none
	source    uint64     // the run of that; 0: none
	receiving *job       // a delta of which the last frame did not come yet
	learning  int
	held      []*arrival // frames of deltas that wait for what they build on

	// When to ask for a delta.

	wantAt   int64 // something is lacking, and due from here then; 0: not
	retryAt  int64 // not before that
	failures int   // in a row

	verification verification
	heal         heal

	announceAt int64 // the namespace was withdrawn until then
	withdrawn  int   // how often in a row, for a failed Build
	gone       int   // how often in a row the peer dropped the namespace
	goneAt     int64 // when it last did
}

// session returns the session of a namespace on l, and makes it if needed.
func (m *Machine) session(l *link, name string) *session {
	s := l.byName[name]
	if s == nil {
		s = &session{link: l, name: name, lost: l.ended[name]}
		l.byName[name] = s
		l.sessions = append(l.sessions, s)
	}
	return s
}

// join has a session take part in a namespace that is open here.
func (sp *space) join(s *session) {
	s.space = sp
	sp.sessions = append(sp.sessions, s)
}

// end ends a session's work. Deltas that came whole are applied all the same.
func (m *Machine) end(s *session) {
	s.ended = true
	s.dropHeld()
	m.cancelBuild(s)
	m.cancelReceive(s)
	m.cancelCompare(s)
	if j := s.answering; j != nil { // no Served is due once the link is gone
		s.answering = nil
		m.endJob(j.id)
	}
	if sp := s.space; sp != nil {
		m.endOffer(s)
		m.endHealOffer(s)
		m.endVerify(s)
		sp.sessions = slices.DeleteFunc(sp.sessions, func(o *session) bool { return o == s })
		m.endFetch(s, false)
	}
}

// restart ends a session and begins another, in which the peer's number is
// still known, but nothing that was told under it: the peer has to tell anew.
func (m *Machine) restart(s *session) *session {
	m.end(s)
	fresh := &session{
		link: s.link, name: s.name, peerNumber: s.peerNumber, withdrawn: s.withdrawn,
		gone: s.gone, goneAt: s.goneAt,
		lost: true, // what the peer sent to the session before
	}
	fresh.beginEpoch()
	s.link.byName[s.name] = fresh
	s.link.sessions[slices.Index(s.link.sessions, s)] = fresh
	return fresh
}

// forget drops a session that neither side speaks of any more.
func (l *link) forget(s *session) {
	if s.space == nil && s.peerNumber == 0 {
		if s.lost {
			l.ended[s.name] = true
		}
		delete(l.byName, s.name)
		l.sessions = slices.DeleteFunc(l.sessions, func(o *session) bool { return o == s })
	}
}

// paired reports whether both sides have announced the namespace.
func (s *session) paired() bool { return s.space != nil && s.number != 0 && s.peerNumber != 0 }

// met reports whether both sides know what the other covers.
func (s *session) met() bool { return s.paired() && s.told != nil && s.theirs != nil }

// numbered returns the session that a message of the peer names, or nil if
// the message is to be ignored: its namespace is gone, or not here.
func (m *Machine) numbered(l *link, number uint64) (*session, error) {
	if number > uint64(len(l.names)) {
		return nil, faultf(CodeProtocol, "namespace %d was not announced", number)
	}
	s := l.byName[l.names[number-1]]
	if s == nil || s.space == nil {
		return nil, nil
	}
	return s, nil
}

// learnt adds to what the peer covers, or will.
func (s *session) learnt(p *crdt.Past) {
	if s.knownLent {
		s.known, s.knownLent = s.known.Clone(), false
	}
	s.known.Join(p)
}

// level reports whether the peer is known to cover all that is durable here.
func (s *session) level() bool { return s.known.Includes(s.space.own) }

func (m *Machine) cancelBuild(s *session) {
	if j := s.building; j != nil && !j.cancelled {
		j.cancelled = true
		m.emit(Cancel{j.id})
	}
}

func (m *Machine) cancelReceive(s *session) {
	if j := s.receiving; j != nil {
		s.receiving = nil
		m.endJob(j.id)
		m.emit(Cancel{j.id})
	}
}
