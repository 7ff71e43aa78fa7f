package protocol

// The bounds of the protocol: what a peer may send, and how long we wait. A
// sender keeps the same bounds, so only a faulty or hostile peer meets them.
const (
	// Version is the version of the protocol that this release speaks, and
	// MinVersion the oldest one that it still speaks.
	Version    = 1
	MinVersion = 1

	// MaxFrameBytes bounds a frame. One event of the greatest size (a value
	// of 1 MiB, its key and its further fields) fits with room to spare, and
	// a link's receive buffer stays small.
	MaxFrameBytes = 2 << 20
	// TargetFrameBytes is where a sender ends a frame and starts the next:
	// large enough that the frame's own cost vanishes, small enough that
	// other messages on the link wait for a few milliseconds only.
	TargetFrameBytes = 256 << 10
	// MaxEntriesPerFrame bounds the vector entries of one frame: 2^15 of at
	// most 27 bytes are 864 KiB. The rest of a longer vector follows as Haves.
	MaxEntriesPerFrame = 1 << 15
	// MaxWritersPerFrame bounds the writers that the records of one frame
	// name. A table of 2^14 ids takes 288 KiB.
	MaxWritersPerFrame = 1 << 14
	// MaxRecordBytes bounds one record put together from the frames that it
	// was split over: 64 siblings of the greatest size, or tens of thousands
	// of ordinary ones.
	MaxRecordBytes = 64 << 20
	// MaxHelloNamespaces bounds the namespaces of a Hello, 150 KiB of them;
	// a node that has more announces the others behind it.
	MaxHelloNamespaces = 1 << 10
	// MaxFeatures bounds the features of a Hello: far more than there will be
	// at a time, and a few hundred bytes.
	MaxFeatures = 64
	// maxFeature is the greatest number that a feature can have.
	maxFeature = 1<<32 - 1
	// MaxNumbers bounds how many namespaces a peer announces over the life of
	// a link, counting again what it dropped and opened again. Each costs
	// some 300 bytes of memory.
	MaxNumbers = 1 << 14
	// MaxCertificateBytes bounds a node's certificate. Ours take 600 bytes.
	MaxCertificateBytes = 16 << 10
	// MaxStatementBytes bounds a signed revocation. Ours take 250 bytes.
	MaxStatementBytes = 4 << 10
	// MaxStatementsPerFrame bounds the revocations of one frame; at their
	// greatest size they just fit it.
	MaxStatementsPerFrame = 256

	// Fanout is into how many parts a range that differs is split at most. A
	// part costs some 16 bytes; with 16 of them a million records take four
	// rounds to get down to LeafKeys.
	Fanout = 16
	// LeafKeys is how many records of a range are listed, at 8 bytes each,
	// rather than split further. It is a stride's least as well, and at most
	// 32: verdicts are kept in 32 bits.
	LeafKeys = 16
	// MaxRangesPerFrame bounds the ranges that one compare asks about: their
	// boundaries fit TargetFrameBytes with keys of 40 bytes, and the verdicts
	// take 8 KiB.
	MaxRangesPerFrame = 1 << 12
	// maxSummaryMarks and maxSummaryBytes bound what a summary keeps: 40
	// bytes for each mark, 2.5 MiB, and its key. A billion records have a
	// stride of 16,384 then, which a range that differs is scanned for.
	maxSummaryMarks = 1 << 16
	maxSummaryBytes = 4 << 20

	// DigestDelayMillis is how long after a change digests are compared: a
	// namespace that is written in bursts is verified between them.
	// DigestEveryMillis is the least from one vector that is verified to the
	// next: a million records are read in two seconds. DigestRetryMillis is the
	// pause while there is no moment at which both cover the same, and
	// DigestTimeoutMillis how long a digest may take: it is taken at leisure.
	// HealPatienceMillis is how long the check of a store may take, and an offer
	// of the peer, which waits for its own; and how long an offer is kept that is
	// not taken.
	DigestDelayMillis   = 5 * 60_000
	DigestEveryMillis   = 60 * 60_000
	DigestRetryMillis   = 30_000
	DigestTimeoutMillis = 30 * 60_000
	HealPatienceMillis  = 60 * 60_000

	// toldSlack is how many entries more than twice the present vector may
	// have been told before it is told anew: entries that later ones imply
	// stay in what was told, one for each restart of a node. 64 take 2 KiB.
	toldSlack = 64

	// FetchDelayMillis is how long a node waits, after a neighbour said what
	// it has, for the same from the origin, if the origin is linked to it: a
	// push that is under way arrives within it on a local network.
	FetchDelayMillis = 10
	// HoldMillis is how long a delta waits for what it builds on and comes over
	// other links. A refusal costs a round trip, and the delta once more; what
	// is later than its successor by this much is lost with its link, as a rule.
	HoldMillis = 100
	// MaxHeldBytes bounds about what all that waits so takes, on all links and
	// in all namespaces: several frames of the greatest size.
	MaxHeldBytes = 8 << 20
	// arrivalMemory is about what a frame that waits takes beside what it
	// brings, and entryMemory what an entry of a vector does.
	arrivalMemory = 512
	entryMemory   = 64
	// MaxWhereabouts bounds the nodes that one message tells the addresses of:
	// a node needs few others, and 32 take 2 KiB as a rule.
	MaxWhereabouts = 32
	// MaxPlaces bounds the addresses of one node: those of its interfaces, in
	// both families.
	MaxPlaces = 8
	// MaxPlaceBytes bounds an address: a DNS name of 253 and a port.
	MaxPlaceBytes = 260
	// MaxSpared bounds the nodes that a peer asks to be spared, at 34 bytes
	// each: a mesh in which each is linked to more is a hub's.
	MaxSpared = 256
	// maxSparedAtOnce is up to how many links all are named once one is: 1 KiB.
	maxSparedAtOnce = 32
	// FetchTimeoutMillis is how long a Want may go without progress before
	// another peer is asked. A peer reads for seconds at most before it has a
	// first frame.
	FetchTimeoutMillis = 30_000
	// CompareTimeoutMillis is the same while snapshots are compared: either
	// end reads all that it has before the first answer, at a million records
	// in two seconds.
	CompareTimeoutMillis = 120_000
	// SilentTimeoutMillis is the same for both on a link that may be dead, since
	// its node came back with another one (Machine.noteSilence).
	SilentTimeoutMillis = 5_000
	// RetryDelayMillis is the pause after a first failure; it doubles with
	// each further one in a row, up to MaxRetryDelayMillis. The first is short
	// since most failures (an unknown writer) are mended by asking again.
	RetryDelayMillis    = 100
	MaxRetryDelayMillis = 30_000
	// MaxGone is how often in a row a peer may drop a namespace and come back
	// at once; from then on it waits as after so many failures. An application
	// that opens and closes one does so a few times. GoneMemoryMillis is for how
	// long one counts: twice the longest pause.
	MaxGone          = 16
	GoneMemoryMillis = 2 * MaxRetryDelayMillis
	// CrossMillis is within which time two links of two nodes count as dialed
	// at a time: an attempt takes no longer than that.
	CrossMillis = 10_000
	// HelloTimeoutMillis is how long a peer may take to say Hello.
	HelloTimeoutMillis = 10_000
	// ClockEveryMillis is how old an answer about the peer's clock is before it
	// is asked for again, with something else that is said: what two crystals
	// drift apart in ten minutes is under a tenth of a second.
	ClockEveryMillis = 600_000
	// ClockStepMillis is by how much a wall clock moves at once for it to have
	// been set: one that is only steered moves with the one that nobody sets.
	ClockStepMillis = 1000
	// maxWallMillis bounds what a wall clock can say: the times of timestamps,
	// up to the year 10889.
	maxWallMillis = 1<<48 - 1
	// MaxRefusals is how many deltas in a row a peer may refuse before the
	// link is closed: with the pauses above that takes five minutes.
	MaxRefusals = 16
)
