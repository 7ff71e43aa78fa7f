package crdttest

import "github.com/anabranch-db/anabranch/crdt/history"

// Step is one operation that was performed somewhere in a fleet.
type Step[Op any] = history.Step[Op]

// History holds the operations that some state covers. Whatever a step saw
// comes before it.
type History[Op any] = history.History[Op]
