package protocol

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// Spare asks a peer to push no more than what it wrote itself, since what else
// it pushed was here already; FeatureSpare:
//
//	spare  = [17 number epoch [*node]]
//	number = the sender's number of the namespace
//	epoch  = the sender's, as in Vector: it ends with the epoch
//	nodes  = whose transactions come to the sender from those nodes themselves,
//	         in ascending order, beside those that it named before
//
// What a peer wrote after it saw transactions of these nodes may be pushed
// before the sender has told that it has them. What depends on others is told,
// and waits to be asked for.
type spare struct {
	number, epoch uint64
	nodes         []crdt.NodeID
}

const spareFields = 3

func (s *spare) encode() Frame {
	b := newMessage(32+len(s.nodes)*(len(crdt.NodeID{})+2), spareFields, codeSpare)
	b = crdt.AppendUint(b, s.number)
	b = crdt.AppendUint(b, s.epoch)
	b = crdt.AppendArray(b, len(s.nodes))
	for _, n := range s.nodes {
		b = crdt.AppendBytes(b, n[:])
	}
	return Frame{b}
}

func readSpare(r *crdt.Reader, fields int) (s spare) {
	wantFields(r, fields, spareFields)
	s.number, s.epoch = readNumber(r), r.Uint()
	for range r.Array(MaxSpared) {
		var n crdt.NodeID
		r.Fixed(n[:])
		if i := len(s.nodes); r.Err() == nil && i > 0 && n.Compare(s.nodes[i-1]) <= 0 {
			r.Fail("nodes twice, or out of order")
		}
		if r.Err() != nil {
			break
		}
		s.nodes = append(s.nodes, n)
	}
	return s
}

// spared are the nodes that the Spare messages of one epoch name.
type spared struct{ nodes []crdt.NodeID } // ordered; replaced, never changed

func (sp *spared) has(n crdt.NodeID) bool {
	return sp != nil && hasNode(sp.nodes, n)
}

// with returns sp with nodes added.
func (sp *spared) with(nodes []crdt.NodeID) *spared {
	all := &spared{}
	if sp != nil {
		all.nodes = sp.nodes
	}
	for _, n := range nodes {
		all.nodes = withNode(all.nodes, n)
	}
	return all
}

func hasNode(list []crdt.NodeID, n crdt.NodeID) bool {
	_, found := slices.BinarySearchFunc(list, n, crdt.NodeID.Compare)
	return found
}

// withNode returns a copy of an ordered list with n in it.
func withNode(list []crdt.NodeID, n crdt.NodeID) []crdt.NodeID {
	i, found := slices.BinarySearchFunc(list, n, crdt.NodeID.Compare)
	if found {
		return list
	}
	return slices.Insert(slices.Clone(list), i, n)
}
