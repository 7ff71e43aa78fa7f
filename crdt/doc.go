// Package crdt keeps one invariant: the same events give the same state, bit
// for bit, in whatever order, grouping and repetition they were merged.
//
// It is pure: no time, no network, no disk, no goroutines, no randomness of
// its own. What needs a clock or an id is given one.
//
// # Vocabulary
//
//   - node: a key and its store.
//   - writer: one run of one node in one namespace; it never comes back.
//   - dot: (writer, seq), the name of one transaction and of its events.
//   - event: one write or removal of one record.
//   - record: a key and its latest concurrent events (siblings).
//   - version vector: for each writer, up to which seq all is covered.
//   - causal context: what covers a dot; a version vector is one.
//   - join: the merge of two records under their contexts. There is one.
//   - delta: the records touched between two vectors, and the later vector.
//   - columns: records, each told by what it does not share with the one before.
//   - namespace: the unit of causality, atomicity and replication: one vector.
//   - expiry: the time from which on a value reads as a removal.
//   - lens: a type; a fold over the events of a few records under one path.
//   - lineage: who is whose ancestor among the writers of a namespace.
//   - past: a closed causal context: what a vector covers and implies.
//
// # Flow
//
// A lens reads and writes records through a Tx (or only reads, through a
// View). Replica is an in-memory one; package replica has the durable one.
// Replicas exchange deltas, and Join merges them, record by record, without
// looking into a value. So every lens here works on both, and package
// crdttest's law suite runs on any lens, an embedder's own as well.
//
// # What it does not do
//
// No lens reads removals, since they are collected at different times on
// different nodes. Nothing here decides when to sync, or with whom.
package crdt
