package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

const (
	namespace = "fleet"
	// certificateBytes is what a node's certificate takes as a rule.
	certificateBytes = 320
	// patienceMillis is within which virtual time a fleet is to hold the same.
	patienceMillis = 600_000
)

// fleet is nodes that run the protocol on a modelled network. Each writer
// overwrites one key of its own, so what a node holds follows from what it
// covers, and nothing else has to be kept.
//
// All nodes look up writers in one lineage, which has them all: that a node is
// told of a writer ahead of what it wrote is the protocol's to see to, and its
// frames are sent and counted.
type fleet struct {
	clock   clock
	chance  *rand.Rand
	loss    int // percent of packets
	nodes   []*node
	lineage crdt.Lineage
	writers []*crdt.WriterRecord // of the first nodes
	indexOf map[crdt.WriterID]int
	records map[crdt.WriterID]*crdt.WriterRecord
	linkIDs uint64
	counted
}

// counted is what went over all links.
type counted struct {
	Frames, Bytes uint64
	Hello, Vector int // the greatest, in bytes
}

// newFleet links nodes, of which so many write. Nobody has written yet.
func newFleet(nodes, writers, loss int) *fleet {
	f := &fleet{
		chance: rand.New(rand.NewPCG(uint64(nodes), uint64(loss))), loss: loss,
		indexOf: map[crdt.WriterID]int{}, records: map[crdt.WriterID]*crdt.WriterRecord{},
	}
	for i := range nodes {
		n := &node{fleet: f, number: i, past: f.lineage.Past(nil), ends: map[protocol.LinkID]*end{}, cancelled: map[protocol.JobID]bool{}}
		binary.BigEndian.PutUint64(n.id[:], f.chance.Uint64()) // ids of the length and look of real ones
		binary.BigEndian.PutUint64(n.id[8:], uint64(i))
		if i < writers {
			f.addWriter(n)
		}
		f.nodes = append(f.nodes, n)
	}
	for _, n := range f.nodes {
		n.machine = protocol.New(protocol.Config{
			Node: n.id, Instance: n.instance(), Cluster: [32]byte{1},
			Features: []protocol.Feature{protocol.FeatureReconcile, protocol.FeatureSpare},
		})
		n.step(protocol.Opened{Namespace: n, Durable: n.past.Clone()})
	}
	f.linkAll()
	return f
}

func (f *fleet) addWriter(n *node) {
	rec := &crdt.WriterRecord{Node: n.id, Namespace: namespace, Started: crdt.TimestampOf(1_767_225_600_000)}
	binary.BigEndian.PutUint64(rec.Writer[:], f.chance.Uint64())
	binary.BigEndian.PutUint64(rec.Writer[8:], uint64(n.number))
	rec.Signature[0] = 1
	if err := f.lineage.Add(rec); err != nil {
		panic(fmt.Sprintf("scale: a writer without parents is refused: %v", err))
	}
	f.indexOf[rec.Writer] = len(f.writers)
	f.writers, f.records[rec.Writer] = append(f.writers, rec), rec
	n.writer = rec.Writer
}

// linkAll links all nodes in a mesh of four links each.
func (f *fleet) linkAll() {
	for _, l := range mesh(len(f.nodes), f.chance) {
		f.link(f.nodes[l[0]], f.nodes[l[1]])
	}
}

// link links two nodes; each hears of it at a moment of its own.
func (f *fleet) link(one, two *node) {
	f.linkIDs += 2
	a := &end{node: one, id: protocol.LinkID(f.linkIDs - 1)}
	b := &end{node: two, id: protocol.LinkID(f.linkIDs), far: a}
	a.far = b
	for _, e := range []*end{a, b} {
		e.node.ends[e.id] = e
		f.clock.after(f.chance.Int64N(20), e.up)
	}
}

// write has the first n writers write once, all at this moment.
func (f *fleet) write(n int) {
	for _, node := range f.nodes[:n] {
		f.clock.after(0, node.write)
	}
}

// runUntil runs to a virtual time.
func (f *fleet) runUntil(at int64) {
	for f.clock.next(at) {
	}
}

// settle runs until all nodes cover what all have written, and returns when the
// last came to. What is under way then is let end.
func (f *fleet) settle(want func() bool) (at int64, err error) {
	begun := f.clock.now
	for !want() {
		if f.clock.now > begun+patienceMillis {
			return 0, fmt.Errorf("%d nodes do not hold the same after %d s", len(f.nodes), patienceMillis/1000)
		}
		f.runUntil(f.clock.now + 1)
	}
	at = f.clock.now
	f.runUntil(at + 5_000)
	return at, nil
}

// covered reports whether all nodes cover that many transactions of each of the
// first n writers.
func (f *fleet) covered(n int, seq uint64) func() bool {
	next := 0 // those before it do: what is covered stays so
	return func() bool {
		for next < len(f.nodes) {
			for _, w := range f.writers[:n] {
				if f.nodes[next].past.Seq(w.Writer) < seq {
					return false
				}
			}
			next++
		}
		return true
	}
}

// take returns what went over the links since the last call.
func (f *fleet) take() counted {
	c := f.counted
	f.counted = counted{}
	return c
}
