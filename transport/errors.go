package transport

import (
	"errors"
	"fmt"
)

// What callers branch on, with errors.Is.
var (
	// ErrClosed says that the link or the network has ended. Every
	// *CloseError is one.
	ErrClosed = errors.New("closed")
	// ErrFrameSize says that a frame to send is empty or over MaxFrameBytes.
	ErrFrameSize = errors.New("frame size out of bounds")

	// ErrUnreachable says that nobody answered at an address in time.
	ErrUnreachable = errors.New("no answer")
	// ErrRefused says that the peer did not accept this node's certificate,
	// or does not speak this protocol.
	ErrRefused = errors.New("refused by the peer")
	// ErrUntrusted says that this node did not accept a peer's certificate;
	// one of ErrCredential, ErrCluster, ErrExpired, ErrRevoked says why.
	ErrUntrusted = errors.New("peer not trusted")
	// ErrSelf says that the peer is this very process.
	ErrSelf = errors.New("the peer is this node itself")
	// ErrBusy says that the peer has no room, or hears from us too often.
	ErrBusy = errors.New("too busy")

	// ErrCredential says that a certificate is malformed, or does not bind
	// what it should.
	ErrCredential = errors.New("invalid certificate")
	// ErrCluster says that a certificate or statement is of another cluster.
	ErrCluster = errors.New("another cluster")
	// ErrExpired says that a certificate is not valid at this time.
	ErrExpired = errors.New("certificate not valid now")
	// ErrRevoked says that a node is no longer a member.
	ErrRevoked = errors.New("node revoked")

	// ErrToken says that an invite's token is cut, mistyped, or of a later
	// release.
	ErrToken = errors.New("invalid invite token")
	// ErrInviteUnknown says that the authority never made an invite, or has
	// forgotten it.
	ErrInviteUnknown = errors.New("unknown invite")
	// ErrInviteExpired says that an invite's time is over, by the clock of
	// the authority.
	ErrInviteExpired = errors.New("invite expired")
	// ErrInviteUsed says that another node has joined with an invite.
	ErrInviteUsed = errors.New("invite used by another node")
)

// Code says why a link was closed. It travels to the peer. It is an error, so
// that errors.Is(err, CodeRevoked) asks for one. Numbers are frozen; a code
// that this release does not know is carried and printed as its number.
type Code uint64

// The codes that this package sends, and those that it keeps for the protocol
// above, so that there is one list.
const (
	// CodeNone is for an end that needs no words.
	CodeNone Code = 0
	// CodeGoingAway says that the node shuts down.
	CodeGoingAway Code = 1
	// CodeProtocol says that what came is not what the protocol allows:
	// preface, frame or message.
	CodeProtocol Code = 2
	// CodeTimeout says that something expected did not come in time.
	CodeTimeout Code = 3
	// CodeBusy says that there is no room for this link.
	CodeBusy Code = 4
	// CodeDuplicate says that there is another link with the same peer.
	CodeDuplicate Code = 5
	// CodeRevoked says that the peer is no longer a member.
	CodeRevoked Code = 6
	// CodeSelf says that both ends are one process.
	CodeSelf Code = 7
	// CodeCluster says that the ends are of different clusters.
	CodeCluster Code = 8
	// CodeVersion says that the ends have no protocol version in common.
	CodeVersion Code = 9
	// CodeForged says that a peer passed on what its author did not sign.
	CodeForged Code = 10
	// CodeRefusals says that a peer's deltas were refused over and over.
	CodeRefusals Code = 11
	// CodeInternal says that this node failed.
	CodeInternal Code = 12
	// CodeRemoved says that the peer was removed from the configuration.
	CodeRemoved Code = 13

	// CodeRestarted is never sent: the peer lost its state and does not know
	// the link any more (a stateless reset).
	CodeRestarted Code = 1 << 32
	// CodeBroken is never sent: the socket or the QUIC layer failed.
	CodeBroken Code = 1<<32 + 1
)

// Error returns the code in words.
func (c Code) Error() string {
	if w := c.words(); w != "" {
		return w
	}
	return fmt.Sprintf("code %d", uint64(c))
}

func (c Code) words() string {
	switch c {
	case CodeNone:
		return "no reason given"
	case CodeGoingAway:
		return "going away"
	case CodeProtocol:
		return "protocol violated"
	case CodeTimeout:
		return "timed out"
	case CodeBusy:
		return "busy"
	case CodeDuplicate:
		return "duplicate link"
	case CodeRevoked:
		return "node revoked"
	case CodeSelf:
		return "linked to itself"
	case CodeCluster:
		return "another cluster"
	case CodeVersion:
		return "no common version"
	case CodeForged:
		return "forged record"
	case CodeRefusals:
		return "too many refusals"
	case CodeInternal:
		return "internal error"
	case CodeRemoved:
		return "peer removed"
	case CodeRestarted:
		return "peer restarted"
	case CodeBroken:
		return "connection broken"
	}
	return ""
}

// CloseError says why a link has ended. It is ErrClosed and its Code to
// errors.Is.
type CloseError struct {
	// Code is the cause.
	Code Code
	// Remote tells that the peer ended the link.
	Remote bool
	// Reason is for people. A peer's is at most 256 bytes and may hold
	// anything: print it quoted, as Error does.
	Reason string
}

// Error implements error.
func (e *CloseError) Error() string {
	who := "link closed here"
	if e.Remote {
		who = "link closed by the peer"
	}
	if e.Reason == "" {
		return fmt.Sprintf("%s: %v", who, e.Code)
	}
	return fmt.Sprintf("%s: %v: %q", who, e.Code, e.Reason)
}

// Unwrap makes errors.Is find ErrClosed and the code.
func (e *CloseError) Unwrap() []error { return []error{ErrClosed, e.Code} }
