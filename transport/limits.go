package transport

import "time"

// The bounds of everything that this package reads, holds or waits for. What
// a peer can make this node spend is a sum of these.
const (
	// MaxFrameBytes bounds a frame's body: 2 MiB for the largest record that
	// is allowed and 64 KiB for the protocol's own fields around it.
	MaxFrameBytes = 2<<20 + 64<<10
	// frameStepBytes is what a frame that was announced gets before its bytes
	// arrive; the rest when as much has come. Bulk comes in frames of 256 KiB,
	// which are not moved then; and announcing alone takes no more than 8 MiB
	// with all the links that one identity may have.
	frameStepBytes = 512 << 10
	// readBufferBytes holds a few small frames, so that they cost less than one
	// read each; the body of a large one goes past it. Each idle link has it.
	readBufferBytes = 1 << 10
	// writeBufferBytes joins a frame's length with its beginning, so that a
	// frame of live traffic leaves in one packet. Buffers are pooled.
	writeBufferBytes = 16 << 10
	// maxReasonBytes bounds the words beside a close code; it must fit one
	// packet of the smallest size (1,200) with room to spare.
	maxReasonBytes = 256

	// handshakeTimeout is how long a peer may be silent within a handshake;
	// the whole may take twice as long. Satellite round trips take 0.7 s,
	// and a handshake takes two with a retry.
	handshakeTimeout = 5 * time.Second
	// prefaceTimeout is the same for the exchange that follows it.
	prefaceTimeout = 5 * time.Second
	// dialStagger is how long an address has before the next one of the same
	// host is tried beside it; RFC 8305 recommends it.
	dialStagger = 250 * time.Millisecond
	// maxDialAddrs bounds the addresses of one host that are tried.
	maxDialAddrs = 8
	// defaultIdleTimeout ends a link on which nothing was heard, where no
	// keepalive is asked for. Longer than the pauses of a quiet fleet, since a
	// new handshake costs 7 KB; dead peers are noticed sooner, by sending.
	defaultIdleTimeout = 5 * time.Minute
	// keepAlivesLost is how many keepalives in a row may get lost before the
	// idle timeout, where a keepalive is asked for.
	keepAlivesLost = 3
	// defaultStallTimeout ends a link on which packets go out and none come
	// back. It is beyond what roaming between networks takes, and short
	// enough to be rejoining before the partition is history.
	defaultStallTimeout = 15 * time.Second
	// stallPackets is how many packets in a row must have gone unanswered for
	// that. An acknowledgement is never answered, but there are at most two
	// after the last packet received; probes make it more within the timeout.
	stallPackets = 4
	// suspectAfter is how long nothing may have come, though suspectPackets went
	// out, for a link to be doubted: longer than a round trip over a
	// satellite. One packet more than the two acknowledgements that may go
	// unanswered; the first repeats are on their way by then.
	suspectAfter   = time.Second
	suspectPackets = 3
	// blockedLooks is how many stall timeouts a transfer waits for a peer that
	// neither reads nor says anything: a minute, which is beyond what a busy
	// disk takes.
	blockedLooks = 4

	// defaultWindowBytes bounds what a peer may have in flight to us, read
	// or not, and so its share of our memory. 1 MiB carries 80 Mbit/s over
	// 100 ms.
	defaultWindowBytes = 1 << 20
	// minWindowBytes is a window before traffic made it grow: two round
	// trips fill the largest one.
	minWindowBytes = 256 << 10
	// leastWindowBytes bounds the option: less is a packet or two a round trip.
	leastWindowBytes = 16 << 10
	// maxWindowBytes bounds the option: a larger one outgrows a small device.
	maxWindowBytes = 64 << 20

	// defaultMaxLinks bounds accepted connections. At 42 KiB each, a hub's
	// 4,096 devices take 172 MiB.
	defaultMaxLinks = 4096
	// maxLinksPerInstance bounds the links that one process may have with this
	// node at a time. Two come from both sides dialing, one more from a link
	// that is dead at its other end only; the oldest goes.
	maxLinksPerInstance = 4
	// maxLinksPerNode bounds those of one identity: as many copies of one
	// device may be linked at a time. Of a larger fleet with one image the
	// oldest link goes, and so its devices take turns.
	maxLinksPerNode = 16
	// memberBurst and memberInterval bound how often one identity gets a link
	// from us: twice its links at once, when all copies of a device come back,
	// and then one a second, which is some 5 ms of processor time.
	memberBurst    = 2 * maxLinksPerNode
	memberInterval = time.Second
	// firstPenalty is how long who broke a rule gets no link. It doubles each
	// time, since only people mend that, up to lastPenalty, within which a
	// mended node may link again.
	firstPenalty = time.Second
	lastPenalty  = 10 * time.Minute
	// refusalBurst is how often one identity is refused at once, and then one
	// a memberInterval, before where it comes from is held against it: an honest
	// one waits for longer from the second time on.
	refusalBurst = 8
	// helloTime is for how long after the first packet of a connection another
	// may be of the same greeting, which takes two since keys are post-quantum.
	helloTime = 20 * time.Millisecond
	// hostMemory is for how long few connections come from where somebody was
	// refused so, at least: an attack that pauses has not ended. hostBurst and
	// hostInterval are how many: two handshakes a second are a hundredth of a
	// processor.
	hostMemory   = time.Minute
	hostBurst    = 4
	hostInterval = time.Second / 2
	// maxPenalties bounds the addresses that are remembered for that, and from
	// how many members on those are forgotten of whom nothing is held.
	maxPenalties = 1024
	// framesPerSecond is how many frames one member may say in a second, on all
	// of its links: small ones cost some 6 microseconds each. What syncs is
	// joined to larger frames where it is read later. frameBurst is what may
	// come at once beside that: of a vector, of many namespaces. paceWait is the
	// least pause then, for which a timer is worth its while.
	framesPerSecond = 4000
	frameBurst      = 8000
	paceWait        = 5 * time.Millisecond

	// defaultMaxHandshakes bounds connections that are not authenticated yet, at 50
	// KiB each. From half of it on, new ones have to prove their address
	// first, which costs them a round trip and us nothing.
	defaultMaxHandshakes = 256
	// maxAccepted is how many links may wait for Accept.
	maxAccepted = 64

	// maxCertificateBytes bounds a certificate: 300 bytes and its grants.
	maxCertificateBytes = 16 << 10
	// maxGrants bounds the patterns per kind in a certificate: it travels in
	// every handshake.
	maxGrants = 64
	// maxFileBytes bounds what is read of an identity's files, so that a
	// wrong file is an error and not an allocation.
	maxFileBytes = 64 << 10

	// secretBytes is an invite's secret: 128 random bits, beyond guessing.
	secretBytes = 16
	// maxInviteAddrs bounds where an invite says to join.
	maxInviteAddrs = 16
	// maxAddrBytes bounds an address: a DNS name of 253 and a port.
	maxAddrBytes = 260
	// maxTokenBytes bounds the text of a token: the addresses, in base64.
	maxTokenBytes = 8 << 10
	// maxJoinRequestBytes bounds what a stranger may say.
	maxJoinRequestBytes = 64
	// maxJoinAnswerBytes bounds the answer: two certificates and the peers.
	maxJoinAnswerBytes = 128 << 10
	// maxJoinPeers bounds the addresses that a new node starts with.
	maxJoinPeers = 256
	// maxJoins is how many strangers are heard at a time.
	maxJoins = 16
	// joinTimeout is how long one may take, disk and signature included.
	joinTimeout = 10 * time.Second
	// maxInvites bounds the invites that are open at a time; they are one
	// value of 100 KiB then.
	maxInvites = 1024
	// defaultInviteTTL is a working day, and time zones.
	defaultInviteTTL = 24 * time.Hour

	// attemptBurst and attemptInterval bound failed attempts to join from one
	// address: a roomful of devices behind one NAT may mistype, a program
	// that guesses gets nowhere.
	attemptBurst    = 32
	attemptInterval = 6 * time.Second
	// maxAttemptAddrs bounds the addresses that are remembered for that.
	maxAttemptAddrs = 1024
)
