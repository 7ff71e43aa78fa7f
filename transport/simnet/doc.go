// Package simnet keeps one invariant: a network in memory behaves as its seed
// and the driver's actions say, and as nothing else: not the scheduler, not
// the wall clock, not the order of a map.
//
// # Two levels
//
// [Net.Listen] gives a transport.Network whose links carry frames, for tests
// of what runs over links: no sockets, no cryptography. [Net.ListenPacket]
// gives a net.PacketConn that drops, delays and reorders packets, for tests
// of the real transport.QUIC. Both obey the same cuts.
//
//	net := simnet.New(simnet.Options{Seed: 1, Latency: 5 * time.Millisecond})
//	defer net.Close()
//	a, err := net.Listen(transport.Credential{Node: alice}, "a")
//	b, err := net.Listen(transport.Credential{Node: bob}, "b")
//	link, err := a.Dial(ctx, "b")
//	net.Cut("a", "b")  // the link ends, what was in flight is lost
//	net.Heal("a", "b") // dialing works again
//
// # Time and order
//
// Delays are of package time, so inside testing/synctest they are fake and
// take none. One goroutine delivers, in the order of time, then path, then
// number on the path; the fate of the n-th frame of a path is a hash of seed,
// path and n, and that of a packet one of seed, path and the instant in which it
// is sent. So a run is fixed by its seed if its driver acts one step at a
// time: in synctest, synctest.Wait between the steps.
//
// # What it does not do
//
// A cut ends links at both ends at once; real ones notice after a timeout,
// which the packet level shows. Bandwidth is not modelled.
package simnet
