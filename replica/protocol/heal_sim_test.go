package protocol

import (
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// healPair is two machines that cover the same, one of which has dialed the
// other, and what executes their effects: at once, but for what a test does
// itself. Their digests are as a test says.
type healPair struct {
	t     *testing.T
	now   int64
	links LinkID // so many so far
	sides [2]*healSide
}

type healSide struct {
	m       *Machine
	stamp   Stamper
	wire    [][]byte // on its way to the other side
	timerAt int64
	sum     [32]byte
	vector  crdt.Vector

	checks  bool // a check is over at once, and finds nothing
	offers  bool // a snapshot is offered at once
	reads   bool // a digest is taken at once; if not, read does it
	digests int  // that were taken
	reading JobID

	proposed, again int // messages that were sent
	compared        []Compared
	offered         []Offer
	reconciles      []Reconcile
	cancelled       []JobID
	ended           []EndServe
	builds          []Build
	serves          []Serve
}

// newHealPair returns two machines that have met; the first has dialed. If they
// differ their digests do.
func newHealPair(t *testing.T, differ bool) *healPair {
	p := &healPair{t: t, now: 1}
	for i := range p.sides {
		s := &healSide{vector: manyEntries(0, 1), checks: true, offers: true, reads: true}
		if differ {
			s.sum[0] = byte(i + 1)
		}
		s.m = New(Config{Node: crdt.NodeID{byte(i + 1)}, Features: []Feature{FeatureReconcile, FeatureDigest}})
		p.sides[i] = s
		p.step(s, Opened{flat{}, flat{}.Past(s.vector)})
	}
	p.link()
	return p
}

// link links both.
func (p *healPair) link() {
	p.t.Helper()
	p.links++
	for i, s := range p.sides {
		s.stamp, s.wire = Stamper{}, nil
		p.step(s, LinkUp{Link: p.links, Peer: crdt.NodeID{byte(2 - i)}, Dialed: i == 0})
	}
	p.deliver()
}

func (p *healPair) session(i int) *session { return p.sides[i].m.links[0].byName["flat"] }

// step steps a machine, and does what it says.
func (p *healPair) step(s *healSide, ev Event) {
	p.t.Helper()
	for _, e := range append([]Effect(nil), s.m.Step(p.now, ev)...) {
		p.execute(s, e)
	}
}

func (p *healPair) execute(s *healSide, e Effect) {
	p.t.Helper()
	switch e := e.(type) {
	case Send:
		s.send(e.Frame)
	case SetTimer:
		s.timerAt = e.AtMillis
	case TakeDigest:
		s.digests++
		if s.reading = e.Job; s.reads {
			p.step(s, Digested{Job: e.Job, Sum: s.sum})
		}
	case Compared:
		s.compared = append(s.compared, e)
		if !e.Same && s.checks {
			p.step(s, Checked{Link: e.Link, Namespace: e.Namespace.Name()})
		}
	case Offer:
		s.offered = append(s.offered, e)
		if s.offers {
			s.send(EncodeOffer(e, s.vector))
		}
	case Reconcile:
		s.reconciles = append(s.reconciles, e)
	case Cancel:
		s.cancelled = append(s.cancelled, e.Job)
	case EndServe:
		s.ended = append(s.ended, e)
	case Build:
		s.builds = append(s.builds, e)
	case Serve:
		s.serves = append(s.serves, e)
	case Close:
		p.t.Fatalf("%+v", e)
	}
}

// send puts a frame on the wire.
func (s *healSide) send(f Frame) {
	r := crdt.NewReader(f.buf[stampRoom:])
	if c, n := readCode(r); c == codeDigest {
		switch readDigest(r, n).stage {
		case stagePropose:
			s.proposed++
		case stageAgain:
			s.again++
		}
	}
	s.wire = append(s.wire, s.stamp.Stamp(f))
}

// deliver hands over what was sent, until both rest.
func (p *healPair) deliver() {
	p.t.Helper()
	for len(p.sides[0].wire)+len(p.sides[1].wire) > 0 {
		for i, from := range p.sides {
			frames := from.wire
			from.wire = nil
			to := p.sides[1-i]
			for _, f := range frames {
				p.step(to, Received{to.m.links[0].id, f})
			}
			p.step(from, Flushed{Link: from.m.links[0].id, Lane: 2})
		}
	}
}

// pass lets time pass.
func (p *healPair) pass(millis int64) {
	p.t.Helper()
	for end := p.now + millis; p.now < end; {
		p.now = end
		for _, s := range p.sides {
			if s.timerAt != 0 {
				p.now = min(p.now, max(s.timerAt, 1))
			}
		}
		for _, s := range p.sides {
			if s.timerAt != 0 && s.timerAt <= p.now {
				s.timerAt = 0
				p.step(s, Tick{})
			}
		}
		p.deliver()
	}
}

// finish ends the last heal of a side.
func (p *healPair) finish(i int, changed bool, err error) {
	p.t.Helper()
	s := p.sides[i]
	p.step(s, Reconciled{Job: s.reconciles[len(s.reconciles)-1].Job, Durable: flat{}.Past(s.vector), Healed: changed, Err: err})
	p.deliver()
}

// move has both cover one transaction more, at a time, and tell each other so.
func (p *healPair) move() {
	p.t.Helper()
	for _, s := range p.sides {
		for w := range s.vector {
			s.vector = crdt.Vector{w: s.vector[w] + 1}
		}
		p.step(s, Durable{"flat", flat{}.Past(s.vector)})
	}
	p.deliver()
}

// heals checks how many heals each side has begun.
func (p *healPair) heals(when string, want ...int) {
	p.t.Helper()
	for i, s := range p.sides {
		if got := len(s.reconciles); got != want[i] {
			p.t.Errorf("%s: side %d has begun %d heals, want %d", when, i, got, want[i])
		}
	}
}

// cut ends the links.
func (p *healPair) cut() {
	p.t.Helper()
	for _, s := range p.sides {
		p.step(s, LinkDown{s.m.links[0].id})
		s.wire = nil
	}
}
