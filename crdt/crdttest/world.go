package crdttest

import (
	"encoding/binary"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// world is a fleet that a script happens to.
type world[Op any] struct {
	lens   Lens[Op]
	merge  mergeFunc
	script script[Op]

	replicas []*crdt.Replica
	history  History[Op]
	states   []state[Op]
	writers  uint32
}

// state is one replica after one action.
type state[Op any] struct {
	action  int
	of      *crdt.Replica // the one that went on
	replica *crdt.Replica // a clone of it, which stayed
	idle    History[Op]   // the action's operations, if they wrote nothing
}

// play runs the script from its start.
func (w *world[Op]) play() error {
	w.replicas, w.history, w.states, w.writers = nil, nil, nil, 0
	for n := range byte(nodes) {
		w.replicas = append(w.replicas, crdt.NewReplica(crdt.NodeID{n + 1}, w.newWriter()))
	}
	for i, a := range w.script {
		r := w.at(a.replica)
		idle, err := w.perform(r, a)
		if err != nil {
			return fmt.Errorf("action %d, %v: %w", i+1, a, err)
		}
		w.states = append(w.states, state[Op]{i + 1, r, r.Clone(), idle})
	}
	return nil
}

// at returns the replica that a script calls i.
func (w *world[Op]) at(i int) *crdt.Replica { return w.replicas[i%len(w.replicas)] }

// newWriter returns an id that was not used before. Ids do not grow with
// time, so that ties between dots fall either way.
func (w *world[Op]) newWriter() (id crdt.WriterID) {
	w.writers++
	binary.BigEndian.PutUint32(id[:], w.writers*2654435761)
	return id
}

func (w *world[Op]) perform(r *crdt.Replica, a action[Op]) (idle History[Op], err error) {
	switch a.kind {
	case update:
		return w.update(r, a)
	case sync:
		err = w.merge(r, w.at(a.from).Delta(r.Vector()))
	case restart:
		r.Restart(w.newWriter())
	case clone:
		if len(w.replicas) < maxReplicas {
			c := r.Clone()
			c.Restart(w.newWriter())
			w.replicas = append(w.replicas, c)
		}
	}
	return nil, err
}

// update runs a's operations as one transaction and records them. If nothing
// was written no dot was used: then the steps belong to this state alone.
func (w *world[Op]) update(r *crdt.Replica, a action[Op]) (idle History[Op], err error) {
	seen := r.Vector()
	dot := crdt.Dot{Writer: r.Writer(), Seq: seen[r.Writer()] + 1}
	err = r.Update(a.wall, func(tx crdt.Tx) error {
		for _, op := range a.ops {
			if err := w.lens.Apply(tx, op); err != nil {
				return fmt.Errorf("%v: %w", op, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var steps History[Op]
	steps.Record(dot, timeOf(r.View(), dot), seen, a.ops...)
	if !r.Vector().Covers(dot) {
		return steps, nil
	}
	w.history = append(w.history, steps...)
	return nil, nil
}

// timeOf returns the timestamp of the transaction d, which is the latest of
// its writer.
func timeOf(v crdt.View, d crdt.Dot) crdt.Timestamp {
	for e := range v.Scan(crdt.AllKeys) {
		for i := range e.Record {
			if e.Record[i].Dot == d {
				return e.Record[i].Time
			}
		}
	}
	return 0
}

// observation is a state in full: what it holds, and what is read from it.
type observation struct{ held, read string }

func (w *world[Op]) observe(r *crdt.Replica) (observation, error) {
	read, err := w.lens.Observe(r.View())
	return observation{string(r.Bytes()), read}, err
}
