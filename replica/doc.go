// Package replica keeps one invariant: a transaction is seen whole or not at
// all, here, by every watcher, and at every peer, and what was acknowledged
// stays.
//
// It is what people embed: a database in a directory that reads and writes
// locally, with or without a network, and merges with its peers' when there
// is one.
//
//	db, err := replica.Open("state", replica.Options{})
//	ns, err := db.Namespace("edge")
//	err = ns.Update(ctx, func(tx *replica.Tx) error {
//		return crdt.NewCounter("seen", "cats").Add(tx, 1)
//	})
//	err = ns.View(ctx, func(v *replica.View) error {
//		n, err := crdt.NewCounter("seen", "cats").Get(v)
//		...
//	})
//
// # Vocabulary
//
// Package crdt has the words of the data: record, event, lens, namespace,
// version vector. Here come
//
//   - transaction (Tx): reads and writes of one namespace, run by Update.
//     Transactions are serializable; reads are validated when it commits.
//   - view (View): a consistent read of one namespace, held open.
//   - watch: a loop that is told of what is there, and then of what changes.
//   - group: the events of a watch that tell of one moment; Synced ends it.
//   - cursor: how far a watch came; a version vector in bytes.
//   - durable: on disk, so that power loss does not undo it. Commits are,
//     unless they ask to be buffered.
//   - accumulator: adds to a counter in memory, which one buffered transaction
//     commits for all of a namespace every Options.BufferedSync.
//
// # Flow
//
// A lens writes through a Tx, which holds its writes over a snapshot of the
// store. Commit hands them to the store, which validates what was read,
// makes them visible, and fsyncs. The store then calls back: visible wakes
// the watchers, durable wakes what syncs with peers. A watcher takes a
// snapshot of its own, and asks the store what changed between the vector
// that it has told of and the snapshot's. So nothing is queued for a watcher
// or a peer, and a slow one holds back nobody.
//
// What takes long is done without holding anything: an embedder's closure or
// loop runs with no lock held and no iterator open, and a database may be
// closed under it. The one exception is a transaction that met conflicts
// three times, and runs alone.
//
// DB, Namespace and View are safe for concurrent use; a Tx and a watch loop
// belong to one goroutine. Options, results, events, statuses and errors are
// plain values: share them as long as nobody writes to them.
//
// # What it does not do
//
// There are no transactions over several namespaces, and a namespace has no
// order with another. A read is of what is here: it may be behind what a peer
// has. A commit is not a promise that a peer has it.
package replica
