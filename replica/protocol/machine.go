package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// Config is what a machine is made from.
type Config struct {
	// Node is this node, and Instance this opening of it.
	Node     crdt.NodeID
	Instance Instance
	// Cluster is the identity that peers must share.
	Cluster [32]byte
	// Revocations are those known at the start.
	Revocations []Revocation
	// Features are those that the executor does its part of; at most
	// MaxFeatures.
	Features []Feature
}

// Machine is the sync protocol of one node: all of its links, all of its
// namespaces. It does no I/O, knows no clock and draws no randomness: the same
// events give the same effects. Not safe for concurrent use: one goroutine
// steps it.
type Machine struct {
	node     crdt.NodeID
	self     end
	cluster  [32]byte
	features []Feature // ascending
	now      int64
	wall     int64 // the wall clock, at the last WallClock
	wallAt   int64 // when that was
	base     int64 // what it said when now was 0, by when it last was moved
	armed    int64 // when a Tick is due, 0: none was asked for
	out      []Effect

	spaces     []*space // by name
	links      []*link  // in order of LinkUp
	byID       map[LinkID]*link
	jobs       map[JobID]*job
	priorities map[string]Priority // of namespaces, here or not; no normal ones
	lastJob    JobID
	retries    []*session // that announce their namespace again later
	revoked    revoked
}

// New returns a machine without links and namespaces.
func New(c Config) *Machine {
	m := &Machine{
		node: c.Node, self: end{c.Node, c.Instance}, cluster: c.Cluster, features: sortFeatures(c.Features),
		jobs: map[JobID]*job{}, priorities: map[string]Priority{}, byID: map[LinkID]*link{},
	}
	for _, r := range c.Revocations {
		m.revoked.add(r)
	}
	return m
}

// Step takes an event, at a time above 0 in milliseconds on any clock that does
// not stop (a step back counts as none), and returns what is to be done, in order.
// The slice is valid until the next Step.
func (m *Machine) Step(nowMillis int64, ev Event) []Effect {
	m.now = max(m.now, nowMillis)
	m.out = m.out[:0]
	switch ev := ev.(type) {
	case LinkUp:
		m.linkUp(ev)
	case LinkDown:
		if l := m.byID[ev.Link]; l != nil {
			m.drop(l)
		}
	case Received:
		if l := m.byID[ev.Link]; l != nil {
			m.receive(l, ev.Frame)
		}
	case WallClock:
		m.setWall(ev.Millis)
	case Flushed:
		if l := m.byID[ev.Link]; l != nil {
			m.flushed(l, ev.Lane)
		}
	case Metered:
		m.metered(ev)
	case Prioritized:
		m.prioritized(ev)
	case Opened:
		m.opened(ev)
	case Closed:
		m.closed(ev.Namespace)
	case Durable:
		m.durable(ev)
	case Built:
		m.built(ev)
	case Applied:
		m.applied(ev)
	case Reconciled:
		m.reconciled(ev)
	case Served:
		m.servedCompare(ev)
	case Learned:
		m.learned(ev)
	case TellAddresses:
		m.tellAddresses(ev)
	case Digested:
		m.digested(ev)
	case Checked:
		m.storeChecked(ev)
	case Revoked:
		m.revoke(ev.Revocation)
	case Tick:
		m.tick()
	default:
		panic(fmt.Sprintf("protocol: event of unknown type %T", ev))
	}
	m.arm()
	return m.out
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// job is work that the executor does for a session.
type job struct {
	id JobID
	s  *session
	// Of a Build: the session's generation when it began.
	generation int
	cancelled  bool
	came       *arrival    // of an Apply whose last frame came, that
	with       crdt.Vector // of a Reconcile: the snapshot's
	run        uint64      // of a Serve: what is compared with,
	heals      bool        // and whether that is to heal
}

func (m *Machine) newJob(s *session) *job {
	m.lastJob++
	j := &job{id: m.lastJob, s: s}
	m.jobs[j.id] = j
	return j
}

// endJob returns a job that has ended, or nil if it no longer matters.
func (m *Machine) endJob(id JobID) *job {
	j := m.jobs[id]
	delete(m.jobs, id)
	return j
}
