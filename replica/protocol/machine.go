package protocol

import "github.com/anabranch-db/anabranch/crdt"

// Config is what a machine is made from.
type Config struct {
	// Node is this node.
	Node crdt.NodeID
	// Cluster is the identity that peers must share.
	Cluster [32]byte
	// Revocations are those known at the start.
	Revocations []Revocation
}

// Machine is the sync protocol of one node: all of its links, all of its
// namespaces. It does no I/O, knows no clock and draws no randomness: the same
// events give the same effects. Not safe for concurrent use: one goroutine
// steps it.
type Machine struct {
	node    crdt.NodeID
	cluster [32]byte
	out     []Effect
}

// New returns a machine without links and namespaces.
func New(c Config) *Machine { return &Machine{node: c.Node, cluster: c.Cluster} }

// Step takes an event, at a time in milliseconds on any clock that does not
// stop (a step back is taken as no step), and returns what is to be done, in
// order. The slice is the caller's until the next Step.
func (m *Machine) Step(nowMillis int64, ev Event) []Effect {
	return nil
}
