package protocol

import "fmt"

// Priority says how urgent a namespace is on this node; peers may see it
// otherwise. The zero value is PriorityNormal.
type Priority int8

// The priorities.
const (
	// PriorityBulk is for what can wait: logs, history.
	PriorityBulk Priority = -1
	// PriorityNormal is for features and counters.
	PriorityNormal Priority = 0
	// PriorityUrgent is for what is small and must not wait: pointers to
	// models, latches, flags.
	PriorityUrgent Priority = 1
)

var priorityNames = map[Priority]string{PriorityBulk: "bulk", PriorityNormal: "normal", PriorityUrgent: "urgent"}

// String returns the priority's name.
func (p Priority) String() string {
	if name := priorityNames[p]; name != "" {
		return name
	}
	return fmt.Sprintf("priority %d", int8(p))
}

// Lane is a queue of frames on a link. The frames of a lane go out in order.
// Those of the first, which are about the link and open and end what the others
// speak of, go ahead of all, and then those of more urgent namespaces; so a
// frame waits for one frame of a later lane at most.
type Lane uint8

// Lanes is how many there are: that of the link, and one for each priority.
const Lanes = 4

// lane returns the lane of a namespace's frames.
func (p Priority) lane() Lane { return Lane(2 - p) }

// Class says what may flow on a link. The zero value lets everything flow.
type Class struct {
	// Metered says that bytes cost. The other fields are of a metered link.
	Metered bool
	// Least is the least priority of the namespaces that may flow.
	Least Priority
	// BytesPerDay is how much may flow in a day, in both directions; 0: any
	// amount. When it is used up only urgent namespaces flow.
	BytesPerDay uint64
	// Used is how much of it is used.
	Used uint64
}

// Flows returns the least priority that flows now.
func (c *Class) Flows() Priority {
	switch {
	case !c.Metered:
		return PriorityBulk
	case c.BytesPerDay > 0 && c.Used >= c.BytesPerDay:
		return PriorityUrgent
	}
	return c.Least
}

// carries reports whether a namespace may be spoken of on the link. If not, it
// is as if it were not here: nothing is said of it, and so a peer pushes none
// of it either, of whatever release it is.
func (l *link) carries(sp *space) bool {
	return l.mayRead(sp.name) && sp.priority >= l.class.Flows()
}

// metered takes note of the class of a link.
func (m *Machine) metered(ev Metered) {
	l := m.byID[ev.Link]
	if l == nil {
		return
	}
	before := l.class.Flows()
	if l.class = ev.Class; l.class.Flows() == before {
		return
	}
	for _, sp := range m.spaces {
		m.regard(l, sp)
	}
}

// prioritized changes the priority of a namespace. It is announced anew, since
// the frames of one session must stay in one lane.
func (m *Machine) prioritized(ev Prioritized) {
	if m.priorities[ev.Namespace] = ev.Priority; ev.Priority == PriorityNormal {
		delete(m.priorities, ev.Namespace)
	}
	sp := m.space(ev.Namespace)
	if sp == nil || sp.priority == ev.Priority {
		return
	}
	for _, l := range m.links {
		if s := l.byName[sp.name]; s != nil && s.space == sp {
			m.holdBack(s)
		}
	}
	sp.priority = ev.Priority
	for _, l := range m.links {
		m.regard(l, sp)
	}
	m.pull(sp)
}

// regard has a link carry a namespace, or not, as its class now says.
func (m *Machine) regard(l *link, sp *space) {
	s := l.byName[sp.name]
	carried := s != nil && s.space == sp
	switch carries := l.carries(sp); {
	case carries && !carried:
		m.present(l, sp)
	case carried && !carries:
		m.holdBack(s)
		m.pull(sp)
	}
}

// present begins to speak of a namespace on a link that is up.
func (m *Machine) present(l *link, sp *space) {
	s := m.session(l, sp.name)
	s.beginEpoch()
	sp.join(s)
	m.announce(s)
}

// holdBack ends to speak of a namespace on a link.
func (m *Machine) holdBack(s *session) {
	if s.number != 0 {
		m.send(s.link, (&gone{s.number}).encode())
	}
	s.link.forget(m.restart(s))
}
