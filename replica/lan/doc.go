// Package lan keeps one invariant: what a network tells of other nodes is a
// bounded list of addresses to try, and what it is told of this node is where
// it listens and a hash of its cluster, and nothing else.
//
// It finds the nodes of a cluster that are on the same local network, by
// multicast DNS (RFC 6762) and DNS-based service discovery (RFC 6763), with no
// server and no configuration:
//
//	db, err := replica.Open("state", replica.Options{Listen: ":0", Discovery: lan.New(nil)})
//
// # Vocabulary
//
//   - instance: a node as the LAN knows it, CLUSTER-RUN._anabranch._udp.local,
//     where CLUSTER is 48 bits of a hash of the cluster's id, and RUN is 32
//     random bits of this run: a device cannot be followed from one network to
//     another by it, nor its node be known.
//   - round: two seconds in which nodes are asked for. Rounds come at growing
//     pauses, up to a minute, and at once when the network has changed.
//
// # What it does not do
//
// It does not decide whom to dial, how often, or for how long an address is
// remembered: package replica does, and there the TLS handshake decides who is
// of the cluster. Anybody on the LAN may answer, with anything; at most
// MaxFound addresses are taken from a round. Nodes on one machine find each
// other if it has a network.
package lan
