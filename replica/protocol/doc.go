// Package protocol keeps one invariant: a delta is joined under exactly the
// vector of the snapshot that it was built from, at a receiver whose vector
// covers what it builds on.
//
// It is the sync protocol as a pure machine: events in, effects out.
package protocol
