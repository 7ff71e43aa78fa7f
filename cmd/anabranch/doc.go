// Command anabranch keeps the state of an edge device on the device, and
// merges it with its peers' when there is a network.
//
// One invariant: every verb that touches data does the same, byte for byte,
// whether a daemon serves the directory (then the verb is a request on the
// daemon's unix socket) or none does (then the verb opens the directory
// itself). So each such verb is a handler on a *replica.DB, and a command
// that parses flags into its request and prints its rows.
//
// Exit codes: 0 ok, 1 error, 2 usage, 3 missing; 4 (stale or no quorum) and
// 5 (conflict) are reserved.
package main
