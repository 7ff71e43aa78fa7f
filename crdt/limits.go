package crdt

// The bounds of everything that this package decodes. An encoder refuses what
// a decoder would, so that nothing is stored that cannot be read again.
const (
	// MaxPathParts bounds the depth of a path: deeper maps are refused.
	// JSON documents of real configurations stay under 20.
	MaxPathParts = 32
	// MaxKeyBytes bounds an encoded record key. Keys are held in memory in
	// batches of thousands; 4 KiB keeps those bounded and fits a path of
	// 32 parts of 100 bytes.
	MaxKeyBytes = 4 << 10
	// MaxValueBytes bounds one event's value. Larger things are artifacts.
	// One value with its key must fit a frame (2 MiB) with room to spare.
	MaxValueBytes = 1 << 20
	// MaxSiblings bounds the concurrent events of one record. Every sibling
	// needs a writer of its own that did not see the others, so a fleet of
	// 10,000 that all write one key in one partition still fits.
	MaxSiblings = 1 << 16
	// MaxDepth bounds the nesting of a msgpack value, so that no decoder
	// that recurses can be driven out of stack.
	MaxDepth = 32
	// MaxVectorEntries bounds a vector on the wire: a fleet of 10,000 nodes
	// with branches each, and an order of magnitude of room.
	MaxVectorEntries = 1 << 18
	// MaxParents bounds the branches of its own node that one writer joins.
	MaxParents = 1 << 12
	// MaxDeltaEntries bounds the records of one encoded Delta, which is held
	// in memory as a whole. Longer ones are the sync protocol's to stream.
	MaxDeltaEntries = 1 << 24
	// MaxNamespaceBytes bounds a namespace's name.
	MaxNamespaceBytes = 128
	// MaxExtBytes bounds the fields of an event that this release does not
	// know and carries unread.
	MaxExtBytes = 4 << 10
	// CounterChunkAmounts is how many amounts a chunk of a counter's history
	// takes before the next chunk is begun: about 2 KiB, which the first add
	// of a run rewrites. A decoder takes more.
	CounterChunkAmounts = 64
)
