// Command inference watches pumps: a small inference service that embeds
// Anabranch, and needs no network to do its work.
//
// It keeps one invariant: a reading is judged by a model whose bytes were
// checked, and what came of it (the count of its class, the features of its
// machine) is in the local replica as a whole or not at all, with a network or
// without.
//
// # Flow
//
//   - source.go: readings come from simulated pumps, or from a file.
//   - device.go: each is judged, and recorded in one transaction.
//   - pointer.go: which model judges is what the replicated pointer model/active
//     says. Whoever promotes a version, on whatever device, a watch on the
//     pointer swaps it in here, once the pointer has come.
//   - summary.go: what the device knows at the end, of its peers' readings too.
//   - schema.go: where all of it lies in the namespace.
//
// The model is in the folders below: exact (arithmetic with the same bits on
// every machine), vibration (the sensor and its features), model (the
// classifier and its shipped versions), train (the command that made them).
package main
