// Package store keeps one invariant: what a namespace shows, here and after
// any crash, is whole. Its vector covers exactly the transactions and deltas
// whose records and log entries are there, and nothing that was acknowledged
// is missing.
//
// It is one node's disk: Pebble behind one writer. It knows records, not
// types; vectors, not peers.
//
// # Vocabulary
//
// That of package crdt, and
//
//   - commit: what becomes visible at once: one own transaction, or one delta
//     applied. A namespace's commits are numbered within a run.
//   - position: the state after some commit, as its number and vector.
//   - visible: every snapshot from now on shows it.
//   - durable: it is fsynced. Visible comes first; commits become durable in
//     their order.
//   - log: for each transaction, the keys that it touched.
//   - blind: written without a look at what is there.
//   - staged: on disk, but not visible: a delta too large for memory.
//   - collected: dropped since it was superseded or removed for long enough;
//     the floor says what may have been (floor.go).
//
// # Flow
//
// A transaction reads from a Snapshot, takes note of what it read in a
// ReadSet, and commits a Write: its records, blind, and one log entry, in one
// batch. The commit is refused with ErrConflict if something in the ReadSet
// was written since the snapshot.
//
// What a reader made of many records it may have a Snapshot remember; later
// ones recall it with the keys that commits have written since (memo.go).
//
// A delta is received into an Incoming and applied by its Finish, as one
// batch or, if it was staged, by ingesting sorted tables. A record at a key
// where nothing of ours is news to the sender replaces ours blind; others are
// read and joined. Records that local commits wrote while the delta was
// prepared are joined again under the commit lock.
//
// Both become visible in one function, and the vector moves with them. What
// to send a peer is Snapshot.Changes, which reads the log between two
// vectors: nothing is kept per peer.
//
// Collect drops old removals and the log entries of what was superseded, so
// that the size of a store follows what can be read. Checkpoint tells how long
// something has been here. Backup and Savepoint copy a store at one moment, to a
// stream and, by links, to a directory beside it.
//
// Every run of a node in a namespace writes as a new writer. Its record is
// committed with its first transaction; its last sequence number is not
// written anywhere but in the log, whose tail tells it to the next run, unless
// a collection took it from there.
//
// # Example
//
//	s, err := store.Open(dir, store.Options{Node: node, Sign: sign})
//	ns, err := s.Create("features")
//	dot, err := ns.Commit(&store.Write{Ops: []store.Op{{Key: k, Value: v}}})
//
//	snap, err := ns.Snapshot()
//	defer snap.Close()
//	for entry, err := range snap.Changes(peerVector) { ... }
//
// # Faults
//
// No fault of the disk ends the process. After one, commits and applies fail
// with its cause, and reads go on.
//
// Damage is an error, and never an older state: blocks and log entries have
// checksums, and the WITNESS file says what must be there. Only what was
// logged last may be lost to damage in silence: the end of the WAL that a
// crash left, back to the last change of the MANIFEST. A store once found
// damaged is not opened again, but for Repair: that puts it aside, and makes a
// new one in which what could be read waits for Reissue.
//
// # What it does not do
//
// It looks into no value, talks to no peer, decides nothing about sync, and
// does not authorize: whose writers may write here is its caller's to know.
package store
