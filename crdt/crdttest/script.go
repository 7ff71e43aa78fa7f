package crdttest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// The size of a case. Small ones find what large ones find, faster, and can
// be read: three nodes and a clone, with few actions on few elements.
const (
	nodes       = 3
	maxReplicas = 4
	maxActions  = 14
	maxOps      = 3
)

// script is a case as data: played twice, it must give the same bytes twice.
type script[Op any] []action[Op]

// action is something that happens to one replica. Replicas are named modulo
// their number at that moment.
type action[Op any] struct {
	kind    kind
	replica int
	from    int   // sync: whose state it gets
	wall    int64 // update: what its clock says, in milliseconds
	ops     []Op  // update: the transaction
}

type kind int

const (
	update kind = iota
	sync
	restart
	clone
)

// kinds says how often each happens: mostly writes and exchanges.
var kinds = rapid.SampledFrom([]kind{update, sync, update, sync, update, sync, update, sync, restart, clone})

// walls are what the clocks of a fleet may say: 1970, the same moment twice,
// the next one, and ten years ahead.
var walls = rapid.SampledFrom([]int64{1_800_000_000_000, 1_800_000_000_000, 1_800_000_000_001, 0, 2_115_000_000_000})

func drawScript[Op any](t *rapid.T, op *rapid.Generator[Op]) script[Op] {
	actions := rapid.Custom(func(t *rapid.T) (a action[Op]) {
		a.kind = kinds.Draw(t, "kind")
		a.replica = rapid.IntRange(0, maxReplicas-1).Draw(t, "replica")
		switch a.kind {
		case update:
			a.wall = walls.Draw(t, "wall")
			a.ops = rapid.SliceOfN(op, 1, maxOps).Draw(t, "ops")
		case sync:
			a.from = rapid.IntRange(0, maxReplicas-1).Draw(t, "from")
		}
		return a
	})
	return rapid.SliceOfN(actions, 1, maxActions).Draw(t, "actions")
}

// String prints s for people, an action a line.
func (s script[Op]) String() string {
	var b strings.Builder
	for i, a := range s {
		fmt.Fprintf(&b, "%3d  %v\n", i+1, a)
	}
	return b.String()
}

// GoString is what rapid prints of a draw.
func (s script[Op]) GoString() string { return "\n" + s.String() }

func (a action[Op]) String() string {
	switch a.kind {
	case update:
		return fmt.Sprintf("replica %d at %d: %v", a.replica, a.wall, a.ops)
	case sync:
		return fmt.Sprintf("replica %d gets a delta from %d", a.replica, a.from)
	case restart:
		return fmt.Sprintf("replica %d restarts", a.replica)
	}
	return fmt.Sprintf("replica %d is cloned", a.replica)
}
