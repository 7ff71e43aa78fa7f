package replica

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/transport"
)

// Options say how to open a database. The zero value is good: a directory of
// its own on the operating system's files, and no network.
type Options struct {
	// Listen is the UDP address to take and make connections on, such as
	// ":7600". Empty, with Peers: any free port, on all interfaces.
	Listen string
	// Peers are addresses to keep connections with, beside those that
	// AddPeer wrote down.
	Peers []string
	// Network carries the connections in the place of QUIC; the database
	// closes it. Nil: QUIC.
	Network transport.Network

	// MeshLinks is how many links the node has before it stops to look for
	// peers that nobody configured: those that peers told it of, and that
	// Discovery found. Peers may make more with it. Default: DefaultMeshLinks.
	// Negative: it has links with those configured, and who dials it.
	MeshLinks int
	// Discovery finds peers near this node. Nil: nobody does. With nothing
	// else it does not make a network: give Listen as well.
	Discovery Discovery

	// KeepAlive is how often a quiet connection sends a packet, so that a
	// NAT or firewall on the way does not forget it. Default: 25 seconds,
	// which suits most. Negative: never.
	KeepAlive time.Duration

	// IgnoreExpiry links with nodes whose certificates have ended, or have not
	// begun, by Now: for devices whose clocks cannot be trusted, and for a
	// fleet whose certificates have all ended, until the authority has issued
	// new ones (transport.Authority.Issue, for the same keys). A revocation
	// still ends a membership. Default: they are refused.
	IgnoreExpiry bool

	// Meter says that bytes cost on the way to every peer that was not added
	// with a meter of its own, which share an account. Nil: they do not.
	Meter *Meter

	// Identity is who the node is. Nil: whom the directory says, which gets
	// a key of its own if it has none. Where FS is not the operating
	// system's, nil is a new node at every open.
	Identity *transport.Identity

	// Logger is told what an operator may want to know. Nil: nobody is.
	Logger *slog.Logger
	// FS holds the directory. Nil: the operating system's.
	FS vfs.FS
	// Now is the wall clock. Nil: time.Now.
	Now func() time.Time
	// Random is where writer ids come from. Nil: crypto/rand. What it
	// yields must never repeat, here or on another node.
	Random io.Reader

	// MaxSkew is how far a peer's clock may be off this node's: one that is
	// further off is reported. It is also how far a peer's timestamps pull
	// this node's ahead of Now. Default: DefaultMaxSkew.
	MaxSkew time.Duration
	// BufferedSync is within which time a buffered commit is on disk.
	// Default: 50 ms.
	BufferedSync time.Duration
	// Retention is how long removals are kept, from when they came to this
	// node, to an eighth. A node that is away for longer still catches up; it
	// then compares all that it has with a peer. Default: 7 days. At least a
	// minute.
	//
	// What has expired is kept for as long, and then for as long as no peer's
	// clock agrees with this node's: what one node collects is gone everywhere,
	// so one with a wrong clock must not.
	Retention time.Duration
	// Profile says how much memory the node may take where the fields below do
	// not. Default: ProfileStandard.
	Profile Profile
	// CacheBytes bounds the memory for blocks of the database, which memtables
	// are taken out of. Default: the profile's, of ProfileStandard 16 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one memtable; two may be held. Default: the
	// profile's, of ProfileStandard 4 MiB. 1 MiB halves the speed of writing.
	MemTableBytes int64
	// MemoBytes bounds the memory for folds over many records that are
	// remembered while none of them changes: what the earlier runs of each
	// node added to a counter. Default: the profile's, of ProfileStandard 1
	// MiB, some 5,000 counters.
	MemoBytes int64
	// RecordCacheBytes bounds the memory for records that are read over and
	// over, which it holds decoded. Default: the profile's, of ProfileStandard 4
	// MiB, some 10,000 records of 100 bytes.
	RecordCacheBytes int64
}

// validate returns o with its defaults, or an error that wraps ErrOptions.
func (o Options) validate() (Options, error) {
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"MaxSkew", int64(o.MaxSkew)},
		{"BufferedSync", int64(o.BufferedSync)},
		{"Retention", int64(o.Retention)},
		{"CacheBytes", o.CacheBytes},
		{"MemTableBytes", o.MemTableBytes},
		{"MemoBytes", o.MemoBytes},
		{"RecordCacheBytes", o.RecordCacheBytes},
	} {
		if v.value < 0 {
			return o, fmt.Errorf("%w: %s is negative", ErrOptions, v.name)
		}
	}
	if err := o.bound(); err != nil {
		return o, err
	}
	if o.Network != nil && o.Listen != "" {
		return o, fmt.Errorf("%w: Listen %q is of no use beside a Network, which has an address", ErrOptions, o.Listen)
	}
	if o.Meter != nil {
		if err := o.Meter.validate(); err != nil {
			return o, fmt.Errorf("field Meter: %w", err)
		}
	}
	for i, p := range o.Peers {
		if p == "" {
			return o, fmt.Errorf("%w: Peers[%d] is empty", ErrOptions, i)
		}
		if o.Network == nil {
			if err := checkAddress(p); err != nil {
				return o, fmt.Errorf("peer %d of Peers: %w", i, err)
			}
		}
	}
	switch {
	case o.MeshLinks == 0:
		o.MeshLinks = DefaultMeshLinks
	case o.MeshLinks < 0:
		o.MeshLinks = 0
	}
	switch {
	case o.KeepAlive == 0:
		o.KeepAlive = defaultKeepAlive
	case o.KeepAlive < 0:
		o.KeepAlive = 0
	}
	o.BufferedSync = cmp.Or(o.BufferedSync, defaultBufferedSync)
	o.MaxSkew = cmp.Or(o.MaxSkew, DefaultMaxSkew)
	switch {
	case o.Retention == 0:
		o.Retention = DefaultRetention
	case o.Retention < minRetention:
		return o, fmt.Errorf("%w: Retention %v is under %v", ErrOptions, o.Retention, minRetention)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}
