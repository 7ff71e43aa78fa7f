// Command scale keeps one invariant: what it says of a size was measured or
// simulated at that size, and not computed from a smaller one.
//
// It measures how what matters grows with what grows: keys of a namespace,
// writers in its version vector, peers of a hub, caches of a profile, nodes of a
// fleet. It writes docs/scale.md, and a plot for each part beside it.
//
//	go run ./internal/bench/scale          # a few minutes
//	go run ./internal/bench/scale -run keys -keys 10000,100000,1000000,10000000
//	go run ./internal/bench/scale -run fleet -nodes 1000,10000 -loss 0
//
// # Flow
//
// A part measures one thing that grows, and returns a Section: a table, a plot
// and what they mean. Keys, writers, peers and caches are of whole nodes, on this disk
// and on QUIC over the loopback. The fleet is simulated (fleet.go): the machines of
// package replica/protocol on a network of virtual time, whose frames are counted
// to the byte.
//
// # What it does not do
//
// It sets no figure beside a raw limit: internal/bench does. Times of the fleet are
// those of the network alone: a disk and a processor take none there.
package main
