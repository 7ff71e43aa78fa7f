package main

import "slices"

// works are all works, in the order of the page.
var works = []work{
	{"set, 1 writer", "one key of 100,000 is set to 100 bytes and answered, one after the other", "op/s", false},
	{"set, 8 writers", "the same, by 8 at a time", "op/s", false},
	{"disk after overwrites", "what is on disk, or in the saved document, after 10,000 overwrites of 100 keys with 100 bytes: 11.6 kB are live", "B", true},
	{"document, write", "10,000 keys are set to 100 bytes each, 100 in a transaction", "keys/s", false},
	{"document, size", "what that takes on disk, or as a saved document: 1.16 MB are keys and values", "B", true},
	{"document, load", "from closed, or from the saved bytes, to one value read", "ms", true},
	{"document, catch up", "an empty replica takes all 10,000 keys from one that has them", "keys/s", false},
	{"document, bytes to catch up", "what goes over for that, for each key", "B/key", true},
	{"document, merge", "two replicas have set the same 10,000 keys apart, and one takes what the other wrote", "keys/s", false},
	{"counter, add", "a counter is incremented 100,000 times, one increment in a transaction", "op/s", false},
	{"counter, size", "what a counter takes then, as a saved document, or as a delta that brings it", "B", true},
}

func workOf(name string) work {
	return works[slices.IndexFunc(works, func(w work) bool { return w.Name == name })]
}

// quoted are figures of go-ds-crdt, which cannot be had from the module proxy
// any more: they were measured on a machine like this one, with the same sizes
// and on the same Pebble, before Anabranch was begun.
var quoted = []Figure{
	{Work: "set, 1 writer", Who: "go-ds-crdt on Pebble, buffered", Kept: "what Pebble had synced", Unit: "op/s", Value: 21_500, Quoted: true},
	{Work: "disk after overwrites", Who: "go-ds-crdt on Pebble", Kept: "what Pebble had synced", Unit: "B", Value: 3_200_000, Quoted: true},
	{Work: "document, catch up", Who: "go-ds-crdt on Pebble", Kept: "what Pebble had synced", Unit: "keys/s", Value: 8_500, Quoted: true},
	{Work: "document, bytes to catch up", Who: "go-ds-crdt on Pebble", Kept: "what Pebble had synced", Unit: "B/key", Value: 207, Quoted: true},
}
