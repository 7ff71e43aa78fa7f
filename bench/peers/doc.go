// Command peers keeps one invariant: every figure that it prints was measured in
// this run, on this machine, by the same work, or is marked as quoted; and beside
// each stands what would be left of the work if the power went.
//
// It does the same work with Anabranch and with what people use in its place:
//
//   - NATS JetStream key-value (a server in this process, on files),
//   - SQLite with a write-ahead log, for writes on one node,
//   - the CRDT libraries Automerge (Go, by cgo, and JavaScript), Yjs and Loro,
//     which keep a document in memory, or as one file.
//
// # Use
//
//	cd bench/peers
//	npm --prefix node ci        # or leave it out: those rows are skipped
//	go run .
//
// It writes RESULTS.md, results.json and results.svg into the folder that it runs
// in. It needs gcc for Automerge, and Node.js 18 for the JavaScript libraries:
// what is not there is skipped, and the page says so.
//
// # Flow
//
// A contest is a work and those who do it; one repetition has each of them do it
// once, in turns, so that what else the machine does meets all. The figure of one
// is the median of its repetitions. Those of JavaScript do all of their works in
// one process, once a repetition.
//
// # What it does not do
//
// It does not say who is better: a library in memory does not do what a store
// does, nor the other way round. It tunes nobody, but for what a row says.
package main
