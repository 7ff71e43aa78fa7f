package main

import (
	"errors"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/examples/inference/model"
	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

// namespace is the name of the one that all devices of the fleet share.
const namespace = "inference"

// What lies where in the namespace. The types decide what happens where two
// devices wrote without seeing each other's write:
//
//	model/active       register  the version that judges: the later promotion
//	                             wins, and the other can be seen (conflicts)
//	outcomes/<fault>   counter   readings judged so: no count is lost
//	served/<version>   counter   readings that a version judged
//	entity/<id>/fault  register  the latest verdict on a machine,
//	entity/<id>/score  register  how sure the model was of it,
//	entity/<id>/model  register  which version that was,
//	entity/<id>/seen   register  and when, in Unix milliseconds
//	entity/<id>/peak   max       the highest level ever seen, in g
//	entity/<id>/count  counter   readings of the machine
func activePointer() crdt.Register[string] { return crdt.NewRegister[string]("model", "active") }

func outcomes(fault string) crdt.Counter { return crdt.NewCounter("outcomes", fault) }

func served(version string) crdt.Counter { return crdt.NewCounter("served", version) }

// entities is what the features of all machines lie below.
var entities = crdt.Path{"entity"}

// entity is the feature row of one machine.
type entity struct {
	fault crdt.Register[string]
	score crdt.Register[float64]
	model crdt.Register[string]
	seen  crdt.Register[int64]
	peak  crdt.Extremum[float64]
	count crdt.Counter
}

func entityOf(machine string) entity {
	return entity{
		fault: crdt.NewRegister[string]("entity", machine, "fault"),
		score: crdt.NewRegister[float64]("entity", machine, "score"),
		model: crdt.NewRegister[string]("entity", machine, "model"),
		seen:  crdt.NewRegister[int64]("entity", machine, "seen"),
		peak:  crdt.NewMax[float64]("entity", machine, "peak"),
		count: crdt.NewCounter("entity", machine, "count"),
	}
}

// verdict is what came of one reading.
type verdict struct {
	machine string
	version string // of the model
	model.Prediction
	level float64 // RMS, in g
	at    time.Time
}

// record writes v into tx: the counts of its class and version, and the
// features of its machine.
func (v verdict) record(tx crdt.Tx) error {
	e := entityOf(v.machine)
	return errors.Join(
		outcomes(v.Fault.String()).Add(tx, 1),
		served(v.version).Add(tx, 1),
		e.fault.Set(tx, v.Fault.String()),
		e.score.Set(tx, v.Score),
		e.model.Set(tx, v.version),
		e.seen.Set(tx, v.at.UnixMilli()),
		e.peak.Set(tx, v.level),
		e.count.Add(tx, 1),
	)
}

// faults are the names of the classes, in the order of the model's outputs.
func faults() (names []string) {
	for f := range vibration.Fault(vibration.Faults) {
		names = append(names, f.String())
	}
	return names
}
