package transport

import (
	"context"
	"time"
)

// Link is one authenticated connection with a peer, which carries frames in
// both directions, each reliably and in order, until it breaks; then all that
// was in flight is lost. There is no Link with a peer that has not proved
// its node's key and a certificate of the cluster.
//
// All methods are safe for concurrent use, except that Receive has one caller
// at a time. Errors of a link that has ended are a *[CloseError].
type Link interface {
	// Peer returns the verified identity of the other end.
	Peer() Credential
	// Instance returns which network of the peer's node it is: two at one time
	// are copies of one device.
	Instance() Instance
	// Dialed reports whether this end dialed.
	Dialed() bool
	// RemoteAddr returns the peer's address, for people to read.
	RemoteAddr() string

	// Send sends one frame of 1 to [MaxFrameBytes] bytes. It returns once
	// the frame is on its way, which says nothing of its arrival, and blocks
	// while the peer reads slower than we send. It keeps no reference to
	// frame. Concurrent frames do not mix.
	//
	// ErrFrameSize leaves the link as it was, and so does the end of ctx if
	// nothing of the frame went out. If some did, the link is closed, since
	// half a frame cannot be taken back.
	Send(ctx context.Context, frame []byte) error
	// Receive returns the next frame, which belongs to the caller. When ctx
	// ends it returns the context's error and nothing is lost: the next call
	// goes on where this one stopped.
	Receive(ctx context.Context) ([]byte, error)

	// Close ends the link and tells the peer why, as far as that can be
	// delivered. What was sent just before may not arrive. The first call
	// decides the code; a later one does nothing. It does not wait for the
	// peer and returns nil.
	Close(code Code, reason string) error
	// Stats returns counters of this link so far. They go on after its end.
	Stats() LinkStats
}

// LinkStats are the counters of one link.
type LinkStats struct {
	// FramesSent and FramesReceived count whole frames.
	FramesSent, FramesReceived uint64
	// FrameBytesSent and FrameBytesReceived count what frames take on the
	// link's stream, with their lengths; the rest of the bytes below is QUIC's.
	FrameBytesSent, FrameBytesReceived uint64
	// BytesSent and BytesReceived count bytes of UDP payload: handshake,
	// headers and repeats included.
	BytesSent, BytesReceived uint64
	// RTT is the smoothed round trip time, 0 before the first sample.
	RTT time.Duration
}

// Network makes links. All methods are safe for concurrent use. [QUIC] is the
// real one; package simnet has one in memory.
type Network interface {
	// Dial returns a link with the node that listens at addr, up in both
	// directions: the peer has judged our certificate and we have judged
	// its. Which node it is, Peer tells. Errors say which step failed:
	// ErrUnreachable, ErrRefused, ErrUntrusted, ErrSelf, ErrBusy.
	Dial(ctx context.Context, addr string) (Link, error)
	// Accept returns the next link that a peer dialed. It answers an error
	// only when ctx ends or the network is closed (ErrClosed): peers that
	// are refused are no business of the caller.
	Accept(ctx context.Context) (Link, error)
	// Addr returns the address that this network listens at.
	Addr() string
	// Instance returns this network's own.
	Instance() Instance
	// Close closes every link with CodeGoingAway, and releases the address.
	Close() error
}
