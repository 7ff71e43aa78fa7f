// Package crdttest keeps one invariant: a lens that breaks a law of
// replicated types fails here, and the failure quotes the law.
//
// A lens is described by Lens: how to draw one of its operations, how to
// perform it in a transaction, and what it reads. Run draws small fleets that
// write, exchange deltas in any order, restart and are cloned, with clocks
// that are wrong, and tries every Law on the states that come about. Where a
// Model is given, each state is also compared with what the model computes
// from the operations that the state covers.
//
//	crdttest.Run(t, crdttest.Lens[int64]{
//		Name:    "counter",
//		Op:      rapid.Int64Range(-3, 3),
//		Apply:   func(tx crdt.Tx, n int64) error { return hits.Add(tx, n) },
//		Observe: func(v crdt.View) (string, error) { n, err := hits.Get(v); ... },
//	})
//
// Draw from few elements and few amounts, so that operations collide. A test
// runs 100 cases, or as many as -rapid.checks says; a failing one is made
// small and can be run again with the seed that is printed.
//
// What it does not do: it does not test the join, the lineage or the codec,
// which package crdt tests, and it neither touches a disk nor a network.
package crdttest
