package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

var errCancelled = errors.New("cancelled")

// node is an executor of a machine, whose disk takes no time.
type node struct {
	fleet     *fleet
	number    int
	id        crdt.NodeID
	writer    crdt.WriterID // zero: it does not write
	machine   *protocol.Machine
	past      *crdt.Past
	ends      map[protocol.LinkID]*end
	timer     uint64
	cancelled map[protocol.JobID]bool
}

// end is one end of a link.
type end struct {
	node  *node
	far   *end
	id    protocol.LinkID
	stamp protocol.Stamper
	wire  wire
	queue [protocol.Lanes]int // frames of which no Flushed was told
	early [][]byte            // came before it was up
	isUp  bool
	gone  bool // with all that is on its way
	chain protocol.Chain
}

// Name and what follows implement protocol.Namespace.
func (n *node) Name() string                               { return namespace }
func (n *node) Past(v crdt.Vector) *crdt.Past              { return n.fleet.lineage.Past(v) }
func (n *node) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) { return n.fleet.lineage.Node(w) }

// instance names the node's one opening.
func (n *node) instance() (at protocol.Instance) {
	binary.BigEndian.PutUint64(at[:], uint64(n.number+1))
	return at
}

func (e *end) up() {
	if e.gone {
		return
	}
	e.isUp = true
	e.node.step(protocol.LinkUp{Link: e.id, Peer: e.far.node.id, Instance: e.far.node.instance(), Dialed: e.id%2 == 1})
	for _, b := range e.early {
		e.node.step(protocol.Received{Link: e.id, Frame: b})
	}
	e.early = nil
}

// write commits a transaction, durable at once.
func (n *node) write() {
	n.past.Advance(n.writer, n.past.Seq(n.writer)+1)
	n.step(protocol.Durable{Namespace: namespace, Past: n.past.Clone()})
}

// post posts an event to the machine's inbox.
func (n *node) post(ev protocol.Event) { n.fleet.clock.after(0, func() { n.step(ev) }) }

func (n *node) step(ev protocol.Event) {
	for _, e := range n.machine.Step(n.fleet.clock.now+1, ev) {
		n.execute(e)
	}
}

func (n *node) execute(e protocol.Effect) {
	switch e := e.(type) {
	case protocol.Send:
		n.send(e.Link, e.Lane, e.Frame)
	case protocol.Introduce:
		n.introduce(e.Link, e.Lane, e.Number, e.Writers)
	case protocol.Build:
		n.fleet.clock.after(0, func() { n.build(&e) })
	case protocol.Cancel:
		n.cancelled[e.Job] = true
	case protocol.Apply:
		n.apply(&e)
	case protocol.Learn:
		_, _, err := protocol.DecodeWriters(e.Body)
		n.post(protocol.Learned{Job: e.Job, Err: err})
	case protocol.SetTimer:
		n.timer++
		mine := n.timer
		n.fleet.clock.after(e.AtMillis-n.fleet.clock.now-1, func() {
			if n.timer == mine {
				n.step(protocol.Tick{})
			}
		})
	case protocol.Greeted, protocol.LearnRevocations, protocol.EndServe:
	default: // nothing fails here, and nothing is collected
		panic(fmt.Sprintf("scale: node %d: %#v", n.number, e))
	}
}

// build sends a delta.
func (n *node) build(b *protocol.Build) {
	done := protocol.Built{Job: b.Job, To: n.past.Normal()}
	base, brings, ok := b.Base(n.past, nil)
	switch {
	case n.cancelled[b.Job]:
		delete(n.cancelled, b.Job)
		done.Err = errCancelled
	case !ok:
		done.Withheld = true
	default:
		done.Introduced = protocol.Unintroduced(n.past.Since(b.From), b.Introduced)
		n.introduce(b.Link, b.Lane, b.Number, done.Introduced)
		enc := protocol.NewDeltaEncoder(*b, func(f protocol.Frame) error { n.send(b.Link, b.Lane, f); return nil })
		enc.Bring(brings)
		for _, e := range n.since(base) {
			done.Err = errors.Join(done.Err, enc.Add(e))
		}
		done.Err = errors.Join(done.Err, enc.Finish(done.To, nil))
	}
	n.post(done)
}

// since returns the records that changed since a past: a key of each writer.
func (n *node) since(base *crdt.Past) (entries []crdt.Entry) {
	for _, v := range n.past.Beyond(base) {
		r := crdt.NewRegister[[]byte](fmt.Sprintf("%016d", n.fleet.indexOf[v.Writer]))
		key, err := crdt.MakeKey(r.Path(), crdt.TypeRegister, "")
		if err != nil {
			panic(fmt.Sprintf("scale: a key: %v", err))
		}
		seq := n.past.Seq(v.Writer)
		event := crdt.Event{Dot: crdt.Dot{Writer: v.Writer, Seq: seq}, Value: make([]byte, valueBytes)}
		event.Time = crdt.TimestampOf(1_767_225_600_000 + int64(seq)*1000)
		entries = append(entries, crdt.Entry{Key: key, Record: crdt.Record{event}})
	}
	slices.SortFunc(entries, func(a, b crdt.Entry) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return entries
}

// apply takes a frame of a delta.
func (n *node) apply(a *protocol.Apply) {
	if e := n.ends[a.Link]; e == nil || !e.chain.Admits(*a) || n.cancelled[a.Job] || !a.Last {
		return
	}
	n.past.JoinVector(a.To)
	n.post(protocol.Applied{Job: a.Job, Durable: n.past.Clone()})
}

// introduce sends the records of writers, and their nodes' certificates.
func (n *node) introduce(link protocol.LinkID, lane protocol.Lane, number uint64, writers []crdt.WriterID) {
	var records []*crdt.WriterRecord
	for _, w := range writers {
		records = append(records, n.fleet.records[w])
	}
	for f := range protocol.EncodeWriters(number, records, func(crdt.NodeID) []byte { return make([]byte, certificateBytes) }) {
		n.send(link, lane, f)
	}
}

// send puts a frame on its way. The queue of its lane runs empty a millisecond
// later.
func (n *node) send(link protocol.LinkID, lane protocol.Lane, frame protocol.Frame) {
	f, e := n.fleet, n.ends[link]
	if e == nil {
		return // a job's, of a link that has ended
	}
	b := e.stamp.Stamp(frame)
	f.Frames++
	f.Bytes += uint64(len(b))
	f.notice(b)
	f.clock.after(e.wire.delay(&f.clock, f.chance, len(b), f.loss), func() {
		if e.gone {
			return
		}
		if !e.far.isUp {
			e.far.early = append(e.far.early, b)
			return
		}
		e.far.node.step(protocol.Received{Link: e.far.id, Frame: b})
	})
	e.queue[lane]++
	f.clock.after(1, func() {
		if e.queue[lane]--; e.queue[lane] == 0 && !e.gone {
			n.step(protocol.Flushed{Link: link, Lane: lane})
		}
	})
}

// notice keeps the greatest Hello and Vector: the first and fourth of the grammar.
func (c *counted) notice(frame []byte) {
	r := crdt.NewReader(frame)
	r.Uint() // the frame's number
	if r.Array(64); r.Err() != nil {
		return
	}
	switch r.Uint() {
	case 1:
		c.Hello = max(c.Hello, len(frame))
	case 4:
		c.Vector = max(c.Vector, len(frame))
	}
}
