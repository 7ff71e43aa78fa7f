package transport

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// InviteStore keeps the invites of an authority: a durable place for one
// value. SetLocal returns once the value is on disk; Local returns nil for a
// key that was never set. The values name invites by hashes only: they let
// nobody join.
type InviteStore interface {
	Local(key string) ([]byte, error)
	SetLocal(key string, value []byte) error
}

// InvitesKey is where in the store the invites are.
const InvitesKey = "transport/invites"

// InvitesOptions set up Invites. The zero value works.
type InvitesOptions struct {
	// Store keeps the invites. Default: memory, so that they end with the
	// process.
	Store InviteStore
	// Now judges the expiry of invites. Default time.Now.
	Now func() time.Time
	// Peers returns the addresses that a new node begins with; the first 256
	// count. Default: those of the invite.
	Peers func() []string
}

// Invites makes one-time invites in the name of an authority and redeems
// them. It is safe for concurrent use.
type Invites struct {
	authority *Authority
	options   InvitesOptions

	mu   sync.Mutex // held while the store writes: redeeming is serial
	open []openInvite
}

var _ Registrar = (*Invites)(nil)

// NewInvites returns the invites of a, as far as the store knows some.
func NewInvites(a *Authority, o InvitesOptions) (*Invites, error) {
	if o.Store == nil {
		o.Store = &memoryStore{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	value, err := o.Store.Local(InvitesKey)
	if err != nil {
		return nil, fmt.Errorf("read the invites: %w", err)
	}
	i := &Invites{authority: a, options: o}
	if value != nil {
		if i.open, err = decodeInvites(value); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// InviteOptions say what an invite is good for.
type InviteOptions struct {
	// Addrs are where to join, host:port, 1 to 16; they must reach a network
	// that has these Invites as its Registrar. Required.
	Addrs []string
	// Grants of the node that joins. The zero value means AllNamespaces.
	Grants Grants
	// TTL is how long the invite is good. Default 24 hours.
	TTL time.Duration
	// NotAfter ends the membership. The zero value means never.
	NotAfter time.Time
}

// Invite makes an invite and stores it.
func (i *Invites) Invite(o InviteOptions) (*Invite, error) {
	if err := checkAddrs(o.Addrs); err != nil {
		return nil, err
	}
	if o.Grants.Read == nil && o.Grants.Write == nil {
		o.Grants = AllNamespaces()
	}
	grants, err := o.Grants.useful()
	if err != nil {
		return nil, err
	}
	if o.TTL < 0 {
		return nil, fmt.Errorf("an invite that is good for %v", o.TTL)
	}
	if o.TTL == 0 {
		o.TTL = defaultInviteTTL
	}
	invite, err := newInvite(i.authority.cluster.id, o.Addrs, i.options.Now().Add(o.TTL))
	if err != nil {
		return nil, err
	}
	entry := openInvite{
		hash: invite.secretHash(), expires: invite.Expires,
		grants: grants, notAfter: o.NotAfter.UTC().Truncate(time.Second), addrs: invite.Addrs,
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.store(append(i.current(), entry)); err != nil {
		return nil, fmt.Errorf("store an invite: %w", err)
	}
	return invite, nil
}

func checkAddrs(addrs []string) error {
	if len(addrs) < 1 || len(addrs) > maxInviteAddrs {
		return fmt.Errorf("an invite with %d addresses, 1 to %d are allowed", len(addrs), maxInviteAddrs)
	}
	for _, a := range addrs {
		if a == "" || len(a) > maxAddrBytes {
			return fmt.Errorf("an invite with the address %q, 1 to %d bytes are allowed", a, maxAddrBytes)
		}
	}
	return nil
}

// Redeem implements Registrar.
func (i *Invites) Redeem(_ context.Context, node crdt.NodeID, secretHash [32]byte) (Membership, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := i.find(secretHash)
	if at < 0 {
		return Membership{}, ErrInviteUnknown
	}
	entry := &i.open[at]
	switch {
	case i.options.Now().After(entry.expires):
		return Membership{}, fmt.Errorf("%w: at %s", ErrInviteExpired, entry.expires.Format(time.RFC3339))
	case entry.node == node: // its answer got lost
		return i.membership(entry)
	case !entry.node.IsZero():
		return Membership{}, ErrInviteUsed
	}
	used := *entry
	used.node = node
	m, err := i.membership(&used)
	if err != nil {
		return Membership{}, err
	}
	next := slices.Clone(i.open)
	next[at] = used
	if err := i.store(next); err != nil {
		return Membership{}, fmt.Errorf("store a used invite: %w", err)
	}
	return m, nil
}

// find returns the index of an invite, or -1. It looks at all of them, in
// time that tells nothing about them.
func (i *Invites) find(hash [32]byte) int {
	at := -1
	for n := range i.open {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(i.open[n].hash[:], hash[:]), n, at)
	}
	return at
}

// membership issues what an invite is good for; Issue gives equal bytes for
// equal arguments, so a retry is answered the same.
func (i *Invites) membership(e *openInvite) (Membership, error) {
	der, err := i.authority.Issue(e.node, e.grants, e.notAfter)
	if err != nil {
		return Membership{}, err
	}
	peers := e.addrs
	if i.options.Peers != nil {
		peers = i.options.Peers()
	}
	peers = peers[:min(len(peers), maxJoinPeers)]
	return Membership{Certificate: der, Cluster: i.authority.cluster.der, Peers: peers}, nil
}

// current returns the invites that have not expired, used ones as well: their
// nodes may have to ask again.
func (i *Invites) current() []openInvite {
	now := i.options.Now()
	return slices.DeleteFunc(slices.Clone(i.open), func(e openInvite) bool { return now.After(e.expires) })
}

var errManyInvites = errors.New("too many open invites")

// store makes the invites durable, and then its own. i.mu is held.
func (i *Invites) store(next []openInvite) error {
	if len(next) > maxInvites {
		return fmt.Errorf("%w: at most %d are allowed", errManyInvites, maxInvites)
	}
	slices.SortFunc(next, openInvite.compare)
	if err := i.options.Store.SetLocal(InvitesKey, appendInvites(nil, next)); err != nil {
		return err
	}
	i.open = next
	return nil
}

// memoryStore is the store of invites that end with the process.
type memoryStore struct{ value []byte }

func (m *memoryStore) Local(string) ([]byte, error) { return m.value, nil }

func (m *memoryStore) SetLocal(_ string, value []byte) error {
	m.value = value
	return nil
}
