// Package history keeps one invariant: what follows from a history here follows
// from who saw what, and from no merge.
//
// A History is what was done to replicated state somewhere: operations, each
// with what its replica had seen. From it a model computes what must be read by
// whoever covers some of it, which is then compared with what is read: that is
// how package crdttest tests types, and replica/sim whole fleets.
//
// What it does not do: it knows no type. Which operations take away which is the
// model's to say.
package history
