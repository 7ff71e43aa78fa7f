package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// Addresses tells a peer where nodes can be dialed; FeatureAddresses:
//
//	addresses = [14 seen [*(node how age places)]]
//	seen      = place, where the sender sees the receiver, or "" if it does not
//	            say so
//	node      = 32 bytes, in ascending order; the sender itself may be one
//	how       = how the sender knows (Knowing)
//	age       = how many seconds ago it knew so last
//	places    = [*place], 1 to MaxPlaces, the most promising first
//	place     = text, 1 to MaxPlaceBytes; what is in it is not the protocol's
//
// It may be sent at any time, and each stands for itself. What it says is
// something to try: whoever is met at a place has to prove who it is.
type addresses struct {
	seen  string
	nodes []Whereabouts
}

// Knowing is how a node knows that another can be dialed at a place. What a
// node was told is not passed on, so each is first-hand. Numbers are frozen;
// those of later releases are passed over.
type Knowing uint64

// The ways to know.
const (
	// KnowsOwn is for the sender's own places: it listens there.
	KnowsOwn Knowing = 1
	// KnowsSeen says that the node's links come from there, and that it says
	// that it listens there: no NAT is between it and the sender.
	KnowsSeen Knowing = 2
	// KnowsDialed says that the sender dialed it there.
	KnowsDialed Knowing = 3
)

// Whereabouts are where a node can be dialed.
type Whereabouts struct {
	Node       crdt.NodeID
	How        Knowing
	AgeSeconds uint64
	Places     []string
}

const addressesFields = 2

// whereaboutsFields is how many elements each node takes.
const whereaboutsFields = 4

func (a *addresses) encode() Frame {
	b := newMessage(64+len(a.nodes)*128, addressesFields, codeAddresses)
	b = crdt.AppendString(b, a.seen)
	b = crdt.AppendArray(b, whereaboutsFields*len(a.nodes))
	for _, n := range a.nodes {
		b = crdt.AppendBytes(b, n.Node[:])
		b = crdt.AppendUint(b, uint64(n.How))
		b = crdt.AppendUint(b, n.AgeSeconds)
		b = crdt.AppendArray(b, len(n.Places))
		for _, p := range n.Places {
			b = crdt.AppendString(b, p)
		}
	}
	return Frame{b}
}

func readAddresses(r *crdt.Reader, fields int) (a addresses) {
	wantFields(r, fields, addressesFields)
	a.seen = r.String(MaxPlaceBytes)
	elements := r.Array(whereaboutsFields * MaxWhereabouts)
	if elements%whereaboutsFields != 0 {
		r.Fail(fmt.Sprintf("%d elements are no whole number of nodes", elements))
	}
	for range elements / whereaboutsFields {
		n := readWhereabouts(r)
		if i := len(a.nodes); r.Err() == nil && i > 0 && n.Node.Compare(a.nodes[i-1].Node) <= 0 {
			r.Fail("nodes twice, or out of order")
		}
		if r.Err() != nil {
			break
		}
		a.nodes = append(a.nodes, n)
	}
	return a
}

func readWhereabouts(r *crdt.Reader) (n Whereabouts) {
	r.Fixed(n.Node[:])
	n.How, n.AgeSeconds = Knowing(r.Uint()), r.Uint()
	count := r.Array(MaxPlaces)
	if r.Err() == nil && count == 0 {
		r.Fail("a node without a place")
	}
	for range count {
		p := r.String(MaxPlaceBytes)
		if r.Err() == nil && p == "" {
			r.Fail("an empty place")
		}
		if r.Err() != nil {
			break
		}
		n.Places = append(n.Places, p)
	}
	return n
}

// tellAddresses sends what the executor knows, if the peer takes it.
func (m *Machine) tellAddresses(ev TellAddresses) {
	l := m.byID[ev.Link]
	if l != nil && l.greeted && l.speaks(FeatureAddresses) {
		m.send(l, (&addresses{ev.Seen, ev.Nodes}).encode())
	}
}

// onAddresses hands on what a peer tells.
func (m *Machine) onAddresses(l *link, a addresses) error {
	if !l.speaks(FeatureAddresses) {
		return faultf(CodeProtocol, "addresses were not agreed on")
	}
	m.emit(LearnAddresses{l.id, a.seen, a.nodes})
	return nil
}
