package crdttest

import (
	"fmt"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

func TestCounter(t *testing.T) { Run(t, counterAt("c")) }

func counterAt(path ...string) Lens[op] {
	counter := crdt.NewCounter(path...)
	return Lens[op]{
		Name: "counter", Op: ops(write, reset, wipe),
		Apply: func(tx crdt.Tx, o op) error {
			_, missing := counter.Get(tx)
			switch o.verb {
			case write:
				return counter.Add(tx, o.n)
			case reset:
				found, err := counter.Reset(tx)
				return agree(found, err, missing == nil)
			}
			found, err := counter.Delete(tx)
			return agree(found, err, missing == nil)
		},
		Observe: func(v crdt.View) (string, error) { return show(counter.Get(v)) },
		Model: func(h History[op]) string {
			return counted(h, is(write), func(o op) int64 { return o.n }, is(reset, wipe), is(wipe))
		},
	}
}

// counted is the model of a counter: the sum of all increments that nobody who
// took away saw. It is there if there is an increment that nobody who deleted
// it saw.
func counted[Op any](h History[Op], adds func(Op) bool, amount func(Op) int64, takes, deletes func(Op) bool) string {
	if len(h.Latest(adds, deletes)) == 0 {
		return "missing"
	}
	sum := int64(0)
	for _, s := range h.Latest(adds, takes) {
		sum += amount(s.Op)
	}
	return fmt.Sprint(sum)
}
