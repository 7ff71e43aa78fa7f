// Package sim keeps one invariant: what a run does follows from its Plan and its
// App, and from nothing else.
//
// It runs fleets of nodes on one goroutine, in virtual time: the sync protocol
// as it is (package protocol), the join and the types as they are (package
// crdt), on a modelled network and modelled disks. An embedder's App runs on
// every node, and says in the end what must have come of it:
//
//	func TestRollout(t *testing.T) {
//		simtest.Run(t, func() sim.App { return &rollout{} })
//	}
//
// A run that fails is made small (Shrink), written down (Plan.MarshalText), and
// run again from that. Count.Hash is over all that happened, so that two runs can
// be compared.
//
// # What goes wrong
//
// Each seed turns half of the faults off, since one hides another, and draws a
// world: how many nodes, who dials whom, how slow and lossy paths are, whether
// some are of an older release, and may read, write or hold some namespaces only.
//
// A link keeps the order of frames and loses none, as QUIC does. What the path
// below loses comes late (loss), what it cannot bring waits (cut, mute: in one
// direction) until a timeout ends the link at either end, or both. That a frame
// is lost, repeated or overtaken on a link, the transport prevents; a machine is
// to end the link all the same if it is (tamper), and to ignore frames of a link
// that has ended.
//
// A disk that loses power keeps nothing, a part or all of what was not synced
// (crash). It may be slow, fail, or lose records in silence (rot), which digests
// are to show and peers to mend. A device is copied (clone), set back to a backup
// (restore), or to what its memory was then (resume). Its wall clock, which is
// apart from virtual time, is off, drifts, and is set: back, to 1970, ten years
// ahead (clock). Namespaces are dropped and opened, get other priorities, links
// cost (meter), removals are collected, and members revoked.
//
// # What is checked
//
// After every step, a file each (check_*.go): that no dot is used twice; vectors
// and floors only grow, and are causally closed; what is held is what was written,
// of each transaction all or nothing, and nothing that was removed; what was read
// once is read until something superseded it; times of writes grow and are bounded
// by the node's own clock; memory is bounded by links and namespaces, in the
// machine and beside it; who may not write is not heard, who may not read is told
// nothing, and nobody is blamed for what no peer did.
//
// In the end, when all faults are over: that all who may write cover the same
// within five minutes and four deltas for each node, and hold the same bytes; all
// that was acknowledged is covered; both ends of every link know it; revocations
// have reached all; what rotted is mended from any node that held it; no removal
// is left that all have, and its collection changes nothing. Everything, the App
// of this package, computes from the history alone what registers, counters, sets,
// maps and logs must read (package history), exactly.
//
// # What it does not do
//
// Its disks and links are models. The store on Pebble, and QUIC, are tested for
// themselves, and in whole nodes, which live through the same plans in the tests
// of package replica. Nobody lies: nodes are members that keep the
// protocol, of one release or another.
package sim
