// Package netlab keeps one invariant: what a lab makes lies within network
// namespaces of its own, and is gone once it is closed.
//
// It is for tests that want real hosts: each host is a network namespace, in
// which real programs run, and hosts are attached to networks with a delay that
// are emulated in this process, over TUN devices. What gets lost, nftables
// lose. It takes Linux, root, and the commands ip and nft.
//
// # Vocabulary
//
//   - host: a network namespace. It has one address by which others reach it,
//     whatever networks it is attached to.
//   - path: a network that hosts are attached to. Each host has a device of
//     its name. If there are several, the first that works is taken, in the
//     order in which they were made.
//
// # Flow
//
// A packet that a host sends on a path is read from its device, waits for the
// path's delay and jitter, in order, and is written to the device of the host
// that has the packet's address. No packet leaves the lab.
//
// Labs, hosts and paths are for one goroutine at a time.
package netlab
