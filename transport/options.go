package transport

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// Options set up a QUIC network. The zero value works: any free port, links
// only, members that are not revoked by anybody.
type Options struct {
	// Listen is the UDP address to listen at, host:port. Default ":0", any
	// free port on all interfaces.
	Listen string
	// Conn is the packet network to use in place of an own UDP socket at
	// Listen. The network closes it.
	Conn net.PacketConn

	// Revoked reports whether a node is no longer a member. It is asked on
	// every connection, in the handshake and once more before a link is
	// handed out, and must not block. Default: nobody is.
	Revoked func(crdt.NodeID) bool
	// Now is the clock that certificates are checked against. Default
	// time.Now.
	Now func() time.Time
	// IgnoreExpiry accepts certificates at any time, for devices whose
	// clocks cannot be trusted. Revocation still ends a membership.
	IgnoreExpiry bool

	// Registrar admits new nodes with invites over the same socket, in the
	// name of Authority; both or neither. Default: nobody joins here.
	Registrar Registrar
	Authority *Authority

	// KeepAlive is how often a quiet link sends a packet, so that a NAT or
	// firewall between keeps its mapping; 25 s suits most. Default 0: a quiet
	// link is silent.
	KeepAlive time.Duration
	// IdleTimeout ends a link on which nothing was heard for so long; the
	// smaller of both ends' counts. Default 5 minutes, or 3 keepalives.
	IdleTimeout time.Duration
	// StallTimeout ends a link that this node dialed, on which packets go
	// out and none come in for so long: a partition. A transfer during which
	// neither side says anything ends after 4 times as long. Default 15 s.
	StallTimeout time.Duration

	// Doubts is called when a link of this network has begun to be doubted,
	// or is so no longer (see Doubtful). It must not block. Default: nobody
	// is told.
	Doubts func()

	// WindowBytes bounds what a peer may have in flight to this node, and so
	// its memory per link: 16 KiB to 64 MiB. Default 1 MiB.
	WindowBytes int
	// MaxLinks bounds the connections accepted at a time. Default 4096.
	MaxLinks int
	// MaxHandshakes bounds those of them that are no link yet; more are
	// refused, and come again. From half of it on, new ones have to prove
	// their address first. Default 256.
	MaxHandshakes int
}

// withDefaults returns o with every default put in, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if err := o.validate(); err != nil {
		return o, fmt.Errorf("transport options: %w", err)
	}
	if o.Listen == "" {
		o.Listen = ":0"
	}
	if o.Revoked == nil {
		o.Revoked = func(crdt.NodeID) bool { return false }
	}
	if o.Doubts == nil {
		o.Doubts = func() {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = defaultIdleTimeout
		if o.KeepAlive > 0 {
			o.IdleTimeout = keepAlivesLost * o.KeepAlive
		}
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = defaultStallTimeout
	}
	if o.WindowBytes == 0 {
		o.WindowBytes = defaultWindowBytes
	}
	if o.MaxHandshakes == 0 {
		o.MaxHandshakes = defaultMaxHandshakes
	}
	if o.MaxLinks == 0 {
		o.MaxLinks = defaultMaxLinks
	}
	return o, nil
}

func (o *Options) validate() error {
	switch {
	case (o.Registrar == nil) != (o.Authority == nil):
		return errors.New("Registrar and Authority are given together or not at all")
	case o.KeepAlive < 0 || o.IdleTimeout < 0 || o.StallTimeout < 0:
		return errors.New("KeepAlive, IdleTimeout and StallTimeout must not be negative")
	case o.WindowBytes != 0 && (o.WindowBytes < leastWindowBytes || o.WindowBytes > maxWindowBytes):
		return fmt.Errorf("WindowBytes is %d, %d to %d are allowed", o.WindowBytes, leastWindowBytes, maxWindowBytes)
	case o.MaxLinks < 0:
		return fmt.Errorf("MaxLinks is %d, and must not be negative", o.MaxLinks)
	case o.MaxHandshakes < 0:
		return fmt.Errorf("MaxHandshakes is %d, and must not be negative", o.MaxHandshakes)
	}
	return nil
}
