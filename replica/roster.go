package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// roster is what this node knows of the members of its cluster: the
// certificates of those that it met or heard of, with which it checks whose
// writers may write, and who is out. All of it is on disk. Safe for
// concurrent use.
type roster struct {
	identity *transport.Identity
	store    *store.Store

	mu      sync.RWMutex
	members map[crdt.NodeID]transport.Credential
	company bool                  // somebody was met, once: a copy of this node counts
	out     transport.Revocations // has a lock of its own
}

// Where in the store's local values the roster is.
const (
	certificatePrefix = "roster/certificate/"
	revocationPrefix  = "roster/revocation/"
	companyKey        = "roster/company"
)

// loadRoster reads what was known.
func loadRoster(id *transport.Identity, s *store.Store) (*roster, error) {
	r := &roster{identity: id, store: s, members: map[crdt.NodeID]transport.Credential{}}
	for e, err := range s.LocalScan(certificatePrefix) {
		if err != nil {
			return nil, err
		}
		cred, err := id.Cluster().ParseCredential(e.Value)
		if errors.Is(err, transport.ErrCluster) {
			continue // of a cluster that this directory was in before
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, e.Key, err)
		}
		r.members[cred.Node] = cred
	}
	for e, err := range s.LocalScan(revocationPrefix) {
		if err != nil {
			return nil, err
		}
		rev, err := id.Cluster().ParseRevocation(e.Value)
		if errors.Is(err, transport.ErrCluster) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, e.Key, err)
		}
		r.out.Add(rev)
	}
	own := id.Credential()
	r.members[own.Node] = own
	var err error
	r.company, err = hadCompany(s, own.Node)
	return r, err
}

// hadCompany reports whether the node of a store ever met somebody, or knew of
// another, in whatever cluster it was then.
func hadCompany(s *store.Store, self crdt.NodeID) (bool, error) {
	if met, err := s.Local(companyKey); met != nil || err != nil {
		return met != nil, err
	}
	for e, err := range s.LocalScan(certificatePrefix) {
		if err != nil || e.Key != certificatePrefix+self.String() {
			return err == nil, err
		}
	}
	return false, nil
}

func (r *roster) cluster() [32]byte { return r.identity.Cluster().ID() }

// revoked reports whether a node is no longer a member.
func (r *roster) revoked(n crdt.NodeID) bool { return r.out.Revoked(n) }

// alone reports whether this node never had a peer, in no run: it met nobody,
// and knows of no other member.
func (r *roster) alone() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return !r.company && len(r.members) == 1
}

// meet writes down that this node is not alone, if it was until now.
func (r *roster) meet() error {
	r.mu.Lock()
	known := r.company
	r.company = true
	r.mu.Unlock()
	if known {
		return nil
	}
	return r.store.SetLocal(companyKey, []byte{1})
}

// met takes note of a peer that proved its identity.
func (r *roster) met(peer transport.Credential) error {
	if err := r.meet(); err != nil {
		return err
	}
	if der := peer.Certificate(); der != nil {
		return r.add(der)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.members[peer.Node]; !known { // without a certificate, as in simulations
		r.members[peer.Node] = peer
	}
	return nil
}

// add takes a certificate that a peer passed on. Of two for one node the one
// that is valid for longer counts. Errors wrap crdt.ErrWriterRecord for one
// that is none of this cluster's, or are those of the disk.
func (r *roster) add(der []byte) error {
	cred, err := r.identity.Cluster().ParseCredential(der)
	if err != nil {
		return fmt.Errorf("%w: %w", crdt.ErrWriterRecord, err)
	}
	r.mu.RLock()
	old, known := r.members[cred.Node]
	r.mu.RUnlock()
	if known && old.Certificate() != nil && !cred.NotAfter.After(old.NotAfter) {
		return nil
	}
	// Two at once may write in either order: both are good certificates.
	if err := r.store.SetLocal(certificatePrefix+cred.Node.String(), cred.Certificate()); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[cred.Node] = cred
	return nil
}

// certificate returns a node's certificate in DER, or nil.
func (r *roster) certificate(n crdt.NodeID) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	cred := r.members[n]
	return cred.Certificate()
}

// registrar is the invites of the authority. Who becomes a member through it
// is in the roster before it is ever met.
type registrar struct {
	*transport.Invites
	roster *roster
}

func (r registrar) Redeem(ctx context.Context, node crdt.NodeID, secretHash [32]byte) (transport.Membership, error) {
	m, err := r.Invites.Redeem(ctx, node, secretHash)
	if err == nil {
		err = r.roster.add(m.Certificate) // if it fails, the node asks again
	}
	return m, err
}

// knows reports whether a node is a member, or was one.
func (r *roster) knows(n crdt.NodeID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, known := r.members[n]
	return known || r.revoked(n)
}

// mayWrite returns nil if a node is known, and may write the namespace. That
// it was revoked since says nothing about what it wrote before: that others
// hold it already, and all must end in the same state.
func (r *roster) mayWrite(n crdt.NodeID, namespace string) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	cred, known := r.members[n]
	switch {
	case !known:
		return fmt.Errorf("node %s: its certificate did not come", n.Short())
	case !cred.Grants.CanWrite(namespace):
		return fmt.Errorf("node %s may not write namespace %q", n.Short(), namespace)
	}
	return nil
}

// revocations returns all, ordered by node.
func (r *roster) revocations() []protocol.Revocation {
	var all []protocol.Revocation
	for _, rev := range r.out.All() {
		all = append(all, protocol.Revocation{Node: rev.Node, Statement: rev.Encode()})
	}
	return all
}

// revoke takes a verified statement. It holds at once, whatever the disk says:
// an error says that it is not written down.
func (r *roster) revoke(rev transport.Revocation) error {
	r.out.Add(rev)
	key := revocationPrefix + rev.Node.String()
	old, err := r.store.Local(key)
	if err == nil && old == nil {
		err = r.store.SetLocal(key, rev.Encode())
	}
	if err != nil {
		return fmt.Errorf("write down that node %s is revoked: %w", rev.Node.Short(), err)
	}
	return nil
}

// revocationQueue holds the statements that peers passed on, of which those
// that wait are bounded: what does not fit is told again at the next Hello.
type revocationQueue chan [][]byte

const revocationPlaces = 64

func (q revocationQueue) put(statements [][]byte) {
	select {
	case q <- statements:
	default:
	}
}

// learnRevocations takes what peers pass on, until the mesh closes.
func (m *mesh) learnRevocations() {
	for {
		select {
		case statements := <-m.revocations:
			for _, s := range statements {
				m.learnRevocation(s)
			}
		case <-m.ctx.Done():
			return
		}
	}
}

func (m *mesh) learnRevocation(statement []byte) {
	rev, err := m.roster.identity.Cluster().ParseRevocation(statement)
	if err == nil {
		err = m.revoked(rev)
	}
	if err != nil {
		m.log.Warn("a revocation that a peer passed on", "error", err)
	}
}

// revoked takes a verified revocation, and has it passed on.
func (m *mesh) revoked(rev transport.Revocation) error {
	err := m.roster.revoke(rev)
	m.inbox.post(protocol.Revoked{Revocation: protocol.Revocation{Node: rev.Node, Statement: rev.Encode()}})
	return err
}
