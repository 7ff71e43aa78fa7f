package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// maxSkewMillis is how far foreign timestamps pull a node's clock: as in the
// durable store.
const maxSkewMillis = 60_000

var errBelowFloor = errors.New("the sender collected what was not seen here")

// space is a namespace of a node, from when it is opened until the process
// ends: what can be read, and what a power cut leaves of it.
type space struct {
	node    *Node
	name    string
	lineage *crdt.Lineage
	records []*crdt.WriterRecord // of lineage, in its order
	writer  crdt.WriterID
	begun   bool // the writer's record is in lineage
	clock   crdt.Clock
	closed  bool

	visible *state
	log     []*state // that are not on disk, oldest first; the last is visible
	durable *state
	syncing bool
	waiting []waiter
	rejoin  *rejoin
	checked *state // by the checkers, last
	writing *state // on its way to the disk; nil: nothing
	rounds  int    // deltas that were begun for it since the end of all faults
	latest  int64  // what the node's clock said when this looked at it, at the most
	issued  struct{ before, last crdt.Timestamp }
}

// waiter waits until a number of changes is on disk.
type waiter struct {
	changes int
	done    func()
}

// image is what is on a disk, or in a backup.
type image struct {
	entries []crdt.Entry
	vector  crdt.Vector // expanded
	floor   crdt.Vector
	records []*crdt.WriterRecord
	// writer is of the run that it was taken of, and resumes says that the
	// process goes on from it, with that writer.
	writer  crdt.WriterID
	resumes bool
}

// image returns a state of the space as a disk holds it.
func (sp *space) image(s *state) image {
	im := image{entries: s.entries, vector: s.past.Expand(), floor: s.floor, writer: sp.writer}
	for _, rec := range sp.records {
		if im.vector[rec.Writer] > 0 {
			im.records = append(im.records, rec)
		}
	}
	return im
}

// load opens a namespace from a disk, as a new run of the node.
func (n *Node) load(name string, im image) *space {
	sp := &space{node: n, name: name, lineage: &crdt.Lineage{}, clock: crdt.Clock{MaxSkewMillis: maxSkewMillis}}
	sp.newWriter()
	for _, rec := range im.records {
		if err := sp.learn(rec); err != nil {
			n.world.failf("store", "%s: %s: a record on disk: %v", n.name, name, err)
		}
	}
	sp.visible = &state{entries: im.entries, past: sp.lineage.Past(im.vector), floor: im.floor}
	sp.durable = sp.visible
	for _, e := range im.entries {
		sp.observe(e.Record)
	}
	if im.resumes && sp.lineage.Has(im.writer) {
		sp.writer, sp.begun = im.writer, true
	}
	return sp
}

func (sp *space) newWriter() { sp.writer, sp.begun = sp.node.world.newWriter(), false }

func (sp *space) observe(rec crdt.Record) {
	for i := range rec {
		sp.clock.Observe(rec[i].Time, sp.wall())
	}
}

// wall reads the node's clock.
func (sp *space) wall() int64 {
	now := sp.node.WallMillis()
	sp.latest = max(sp.latest, now)
	return now
}

// Name and what follows implement protocol.Namespace.
func (sp *space) Name() string                  { return sp.name }
func (sp *space) Past(v crdt.Vector) *crdt.Past { return sp.lineage.Past(v) }
func (sp *space) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) {
	if w == sp.writer {
		return sp.node.id, true
	}
	return sp.lineage.Node(w)
}

// learn keeps a writer record.
func (sp *space) learn(rec *crdt.WriterRecord) error {
	if sp.lineage.Has(rec.Writer) {
		return sp.lineage.Add(rec) // it says whether it is the same
	}
	if err := sp.lineage.Add(rec); err != nil {
		return err
	}
	sp.records = append(sp.records, rec)
	return nil
}

// recordsOf returns the records of writers.
func (sp *space) recordsOf(writers []crdt.WriterID) (recs []*crdt.WriterRecord) {
	for _, w := range writers {
		i := slices.IndexFunc(sp.records, func(rec *crdt.WriterRecord) bool { return rec.Writer == w })
		recs = append(recs, sp.records[i])
	}
	return recs
}

// Commit is what a transaction became: nothing if it wrote nothing.
type Commit struct {
	Dot  crdt.Dot
	Time crdt.Timestamp
	// Seen is what its node covered before it, expanded.
	Seen crdt.Vector
}

// update runs a transaction.
func (sp *space) update(fn func(crdt.Tx) error) (c Commit, err error) {
	before, wall := sp.visible, sp.wall()
	t := &tx{view: view{before, sp.lineage, wall}, node: sp.node.id}
	t.dot = crdt.Dot{Writer: sp.writer, Seq: before.past.Seq(sp.writer) + 1}
	t.time = sp.clock.Now(wall)
	err = fn(t)
	t.ended = true
	if err != nil || len(t.wrote) == 0 {
		return Commit{}, err
	}
	c = Commit{t.dot, t.time, before.past.Expand()}
	sp.issued.before, sp.issued.last = sp.issued.last+1, t.time
	if !sp.begun {
		rec := &crdt.WriterRecord{
			Writer: sp.writer, Node: sp.node.id, Namespace: sp.name,
			Parents: before.past.Branches(sp.node.id), Started: t.time,
		}
		if err := sp.learn(rec); err != nil {
			return c, err
		}
		sp.begun = true
	}
	sp.node.world.ledger.issue(sp, t.dot)
	for _, k := range t.wrote {
		sp.node.world.ledger.note(sp.name, k, before.get(k), t.get(k))
	}
	next := *t.state
	next.past = before.past.Clone()
	next.past.Advance(t.dot.Writer, t.dot.Seq)
	sp.change(&next)
	return c, nil
}

// change makes a state the visible one, and has it written to disk.
func (sp *space) change(next *state) {
	next.changes = sp.visible.changes + 1
	sp.visible = next
	sp.log = append(sp.log, next)
	sp.node.world.changed(sp)
	sp.sync()
}

// whenDurable has something done once all that is visible is on disk.
func (sp *space) whenDurable(do func()) {
	sp.waiting = append(sp.waiting, waiter{sp.visible.changes, do})
	sp.sync()
}

// sync writes to disk what is not there, one write at a time.
func (sp *space) sync() {
	n := sp.node
	if sp.syncing || len(sp.waiting) == 0 && sp.durable == sp.visible {
		return
	}
	sp.syncing = true
	sp.writing = sp.visible
	n.after(n.diskDelay(), func() {
		sp.syncing = false
		if sp.closed {
			return
		}
		sp.synced(sp.writing)
		sp.sync()
	})
}

// synced takes note of what is on disk now.
func (sp *space) synced(at *state) {
	advanced := sp.durable != at
	sp.durable = at
	sp.log = slices.DeleteFunc(sp.log, func(s *state) bool { return s.changes <= at.changes })
	waiting := sp.waiting
	sp.waiting = nil
	for _, w := range waiting {
		if w.changes > at.changes {
			sp.waiting = append(sp.waiting, w)
			continue
		}
		w.done()
	}
	if advanced {
		sp.node.world.ledger.acknowledge(sp, at)
		sp.node.post(func() {
			if !sp.closed {
				sp.node.step(durableEvent(sp))
			}
		})
	}
}

// merge joins what a sender at a vector holds: entries, and nothing else of what
// it covers where told says so; else what is not in entries is the same here.
func (sp *space) merge(to, floor crdt.Vector, entries []crdt.Entry, stages bool) error {
	for _, v := range []crdt.Vector{to, floor} {
		if unknown := sp.lineage.Unknown(v); len(unknown) > 0 {
			return fmt.Errorf("%w: %s", crdt.ErrUnknownWriter, unknown[0])
		}
	}
	own, theirs := sp.visible.past, sp.lineage.Past(to)
	switch {
	case !theirs.CoversAll(floor):
		return fmt.Errorf("%w: its floor is beyond its vector", crdt.ErrDelta)
	case own.Includes(theirs):
		return nil
	case !stages && !own.CoversAll(floor) && !own.Disjoint(theirs):
		return errBelowFloor
	}
	next := *sp.visible
	for _, e := range entries {
		for i := range e.Record {
			if !theirs.Covers(e.Record[i].Dot) {
				return fmt.Errorf("%w: key %q: event %v", crdt.ErrDelta, string(e.Key), e.Record[i].Dot)
			}
		}
		next = *next.put(crdt.Entry{Key: e.Key, Record: crdt.Join(next.get(e.Key), own, e.Record, theirs)})
		sp.observe(e.Record)
	}
	if theirs.Seq(sp.writer) > own.Seq(sp.writer) {
		sp.node.world.failf("ahead", "%s: %s: a peer brings more of the writer in use, of which the machine was told before and said nothing", sp.node.name, sp.name)
	}
	next.past = own.Clone()
	next.past.Join(theirs)
	past := sp.lineage.Past(next.floor)
	past.JoinVector(floor)
	next.floor = past.Normal()
	sp.change(&next)
	return nil
}

// collect drops the removals that removable covers, and what has expired by a
// time, of what is on disk.
func (sp *space) collect(removable *crdt.Past, expired int64) (dropped int) {
	removable = removable.Clone()
	removable.Meet(sp.durable.past)
	next, floor := *sp.visible, crdt.Vector{}
	for _, e := range sp.visible.entries {
		stays := slices.DeleteFunc(slices.Clone(e.Record), func(ev crdt.Event) bool {
			goes := (ev.Removed || ev.Expired(expired)) && removable.Covers(ev.Dot)
			if goes {
				floor.Advance(ev.Writer, ev.Seq)
				dropped++
			}
			return goes
		})
		if len(stays) < len(e.Record) {
			next = *next.put(crdt.Entry{Key: e.Key, Record: stays})
		}
	}
	if dropped > 0 {
		past := sp.lineage.Past(next.floor)
		past.JoinVector(floor)
		next.floor = past.Normal()
		sp.change(&next)
	}
	return dropped
}
