package protocol

import (
	"github.com/anabranch-db/anabranch/crdt"
)

// simSpace is a namespace of a simulated node: what can be read, what would
// survive a crash, and the writer records learned ahead of a delta.
type simSpace struct {
	name    string
	node    *simNode
	visible *crdt.Replica
	disk    *crdt.Replica
	lineage *crdt.Lineage // of visible, and what was learned
	records map[crdt.WriterID]*crdt.WriterRecord
	closed  bool
	dirty   bool      // disk advanced and the machine was not told
	waiting []Applied // until disk covers what they applied
	older   *crdt.Replica
	changes int // counts those of visible
	synced  int // how many of them disk has
}

func (n *simNode) newSpace(name string) *simSpace {
	sp := &simSpace{name: name, node: n, visible: crdt.NewReplica(n.id, n.world.newWriter(n))}
	sp.disk = sp.visible.Clone()
	sp.lineage, sp.records = &crdt.Lineage{}, map[crdt.WriterID]*crdt.WriterRecord{}
	return sp
}

// crash goes back to what is on disk, and begins a new run.
func (sp *simSpace) crash(to *crdt.Replica) {
	sp.closed = true // for what still holds the old run
	fresh := &simSpace{name: sp.name, node: sp.node, visible: to.Clone(), disk: to.Clone(), older: to}
	fresh.visible.Restart(sp.node.world.newWriter(sp.node))
	fresh.lineage, fresh.records = &crdt.Lineage{}, map[crdt.WriterID]*crdt.WriterRecord{}
	for _, rec := range fresh.visible.Delta(nil).Writers {
		must(sp.node.world, fresh.learn(rec))
	}
	sp.node.spaces[sp.name] = fresh
}

func (sp *simSpace) sync() {
	sp.older, sp.disk, sp.dirty = sp.disk, sp.visible.Clone(), true
	sp.synced = sp.changes
	for _, a := range sp.waiting {
		a.Durable = sp.durable()
		sp.node.post(a)
	}
	sp.waiting = nil
}

func (sp *simSpace) Name() string                     { return sp.name }
func (sp *simSpace) Past(v crdt.Vector) *crdt.Past    { return sp.lineage.Past(v) }
func (sp *simSpace) Expand(v crdt.Vector) crdt.Vector { return sp.Past(v).Expand() }
func (sp *simSpace) durable() *crdt.Past              { return sp.Past(sp.disk.Vector()) }

// learn keeps a record.
func (sp *simSpace) learn(rec *crdt.WriterRecord) error {
	if err := sp.lineage.Add(rec); err != nil {
		return err
	}
	sp.records[rec.Writer] = rec
	return nil
}

func (sp *simSpace) recordsOf(ws []crdt.WriterID) (recs []*crdt.WriterRecord) {
	for _, w := range ws {
		recs = append(recs, sp.records[w])
	}
	return recs
}

func (sp *simSpace) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) {
	if w == sp.visible.Writer() {
		return sp.node.id, true
	}
	return sp.lineage.Node(w)
}

// write commits a transaction that puts or removes keys, and tells the oracle
// what each of its events supersedes.
func (sp *simSpace) write(keys []crdt.Key, remove bool, value []byte) {
	w := sp.node.world
	dot := crdt.Dot{Writer: sp.visible.Writer(), Seq: sp.visible.Vector()[sp.visible.Writer()] + 1}
	err := sp.visible.Update(w.now, func(tx crdt.Tx) error {
		for _, k := range keys {
			rec, _ := tx.Get(k)
			w.oracle.note(sp.name, k, dot, rec)
			if remove {
				if err := tx.Remove(k); err != nil {
					return err
				}
			} else if err := tx.Put(k, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.failf("write: %v", err)
	}
	sp.changes++
	if err := sp.learn(sp.visible.WriterRecord(dot.Writer)); err != nil {
		w.failf("own writer: %v", err)
	}
}

// simOracle knows every event that was ever made and what it superseded, and
// so what a record must hold under a vector.
type simOracle struct {
	events map[string]map[crdt.Key][]simEvent // by namespace
}

type simEvent struct {
	dot  crdt.Dot
	over []crdt.Dot
}

func (o *simOracle) note(namespace string, k crdt.Key, dot crdt.Dot, rec crdt.Record) {
	e := simEvent{dot: dot}
	for i := range rec {
		e.over = append(e.over, rec[i].Dot)
	}
	keys := o.events[namespace]
	if keys == nil {
		keys = map[crdt.Key][]simEvent{}
		o.events[namespace] = keys
	}
	keys[k] = append(keys[k], e)
}

// expect returns the dots that k must hold under v.
func (o *simOracle) expect(namespace string, k crdt.Key, v crdt.Vector) map[crdt.Dot]bool {
	live := map[crdt.Dot]bool{}
	for _, e := range o.events[namespace][k] {
		if v.Covers(e.dot) {
			live[e.dot] = true
		}
	}
	for _, e := range o.events[namespace][k] {
		if v.Covers(e.dot) {
			for _, d := range e.over {
				delete(live, d)
			}
		}
	}
	return live
}
