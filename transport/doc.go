// Package transport keeps one invariant: there is a [Link] only between two
// nodes that have proved their keys to each other, in this connection, and
// that are members of one cluster at this moment; and what a link delivers is
// what the peer sent, in order, without a gap, until it breaks.
package transport
