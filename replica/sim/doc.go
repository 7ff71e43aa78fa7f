// Package sim keeps one invariant: what a run does follows from its Plan and its
// App, and from nothing else.
//
// It runs fleets of nodes on one goroutine, in virtual time: the sync protocol
// as it is (package protocol), the join and the types as they are (package
// crdt), on a modelled network that delays, stalls and parts, and modelled disks
// that forget what was not synced. Devices are copied, restored and set back,
// clocks are wrong, namespaces are dropped, removals collected. Each seed turns
// half of what can go wrong off, since one fault hides another.
//
// After every step checkers look at what must hold, a file each (check_*.go),
// and in the end, when all faults are over, whether all nodes hold the same, and
// all that was acknowledged.
//
// An embedder's App runs on every node, and says in the end what must have come
// of it:
//
//	func TestRollout(t *testing.T) {
//		simtest.Run(t, func() sim.App { return &rollout{} })
//	}
//
// A run that fails is made small (Shrink), written down (Plan.MarshalText), and
// run again from that.
//
// # What it does not do
//
// Its disks and links are models. The store on Pebble, and QUIC, are tested for
// themselves, and in whole nodes, which live through the same plans in the tests
// of package replica. Nobody lies: nodes are members that keep the
// protocol, of one release or another.
package sim
