package transport

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// Revocation is the authority's statement that a node is no longer a member.
// It holds for ever: a device that comes back gets a new key.
type Revocation struct {
	Cluster ClusterID
	Node    crdt.NodeID
	// Time is when the authority said so, by its clock, to the second. It is
	// for people; a revocation holds whatever the time.
	Time time.Time

	signature [ed25519.SignatureSize]byte
}

// A revocation travels, and is stored, as
//
//	revocation = array(5) version cluster(32) node(32) time signature(64)
//
// in canonical msgpack; time is in seconds since 1970. The signature, by the
// authority's key, covers revocationDomain and what precedes it.
const (
	revocationVersion = 1
	revocationDomain  = "anabranch revocation v1"
)

// Revoke ends node's membership, as of now. Members learn it from each other.
func (a *Authority) Revoke(node crdt.NodeID, now time.Time) Revocation {
	seconds := min(max(0, now.Unix()), maxSeconds)
	r := Revocation{Cluster: a.cluster.id, Node: node, Time: time.Unix(seconds, 0).UTC()}
	copy(r.signature[:], ed25519.Sign(a.key, r.signingBytes()))
	return r
}

func (r *Revocation) signingBytes() []byte {
	return r.appendFields(crdt.AppendString(nil, revocationDomain))
}

func (r *Revocation) appendFields(dst []byte) []byte {
	dst = crdt.AppendUint(crdt.AppendArray(dst, 5), revocationVersion)
	dst = crdt.AppendBytes(dst, r.Cluster[:])
	dst = crdt.AppendBytes(dst, r.Node[:])
	return crdt.AppendUint(dst, uint64(r.Time.Unix()))
}

// Encode returns r's canonical encoding, about 140 bytes.
func (r *Revocation) Encode() []byte {
	return crdt.AppendBytes(r.appendFields(nil), r.signature[:])
}

// ParseRevocation reads what Encode wrote, and verifies that the cluster's
// authority signed it. Errors wrap ErrCredential, or ErrCluster for another
// cluster's.
func (c *Cluster) ParseRevocation(b []byte) (Revocation, error) {
	r := crdt.NewReader(b)
	if n := r.Array(5); r.Err() == nil && n != 5 {
		r.Fail("revocation without five fields")
	}
	if v := r.Uint(); r.Err() == nil && v != revocationVersion {
		r.Fail(fmt.Sprintf("revocation of version %d, this release knows %d", v, revocationVersion))
	}
	var rev Revocation
	r.Fixed(rev.Cluster[:])
	rev.Node = r.Node()
	rev.Time = readTime(r)
	r.Fixed(rev.signature[:])
	if err := r.Done(); err != nil {
		return Revocation{}, fmt.Errorf("%w: revocation: %v", ErrCredential, err)
	}
	if rev.Cluster != c.id {
		return Revocation{}, fmt.Errorf("%w: a revocation of %s by %s", ErrCluster, rev.Node.Short(), rev.Cluster.Short())
	}
	if !ed25519.Verify(c.key, rev.signingBytes(), rev.signature[:]) {
		return Revocation{}, fmt.Errorf("%w: a revocation of %s that the authority did not sign", ErrCredential, rev.Node.Short())
	}
	return rev, nil
}

// Revocations is a set of statements, one per node, that any two members can
// merge in any order: of two statements about one node the earlier stays. The
// zero value is empty. It is safe for concurrent use.
type Revocations struct {
	mu   sync.RWMutex
	byID map[crdt.NodeID]Revocation
}

// Add takes a statement that ParseRevocation or Revoke returned, and reports
// whether the set changed.
func (s *Revocations) Add(r Revocation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.byID[r.Node]; ok && slices.Compare(old.Encode(), r.Encode()) <= 0 {
		return false
	}
	if s.byID == nil {
		s.byID = map[crdt.NodeID]Revocation{}
	}
	s.byID[r.Node] = r
	return true
}

// Revoked reports whether there is a statement about node. It serves as
// Options.Revoked.
func (s *Revocations) Revoked(node crdt.NodeID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.byID[node]
	return ok
}

// All returns the statements ordered by node.
func (s *Revocations) All() []Revocation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Revocation, 0, len(s.byID))
	for _, r := range s.byID {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Revocation) int { return a.Node.Compare(b.Node) })
	return out
}

// Hash names the set: equal sets have equal hashes. It is the SHA-256 of all
// encodings in order.
func (s *Revocations) Hash() [32]byte {
	var all []byte
	for _, r := range s.All() {
		all = append(all, r.Encode()...)
	}
	return sha256.Sum256(all)
}
