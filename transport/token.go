package transport

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// Invite lets one node join a cluster. Whoever holds it may, until it is used
// or expires: it is to be handed over like a password.
type Invite struct {
	// Cluster is which one; the server proves that it is its authority.
	Cluster ClusterID
	// Addrs are where to join, host:port, in the order to try.
	Addrs []string
	// Expires is when the authority stops to accept it, to the second. The
	// joining node does not judge that: its clock may be wrong.
	Expires time.Time

	secret [secretBytes]byte
}

// newInvite draws an invite's secret.
func newInvite(c ClusterID, addrs []string, expires time.Time) (*Invite, error) {
	i := &Invite{Cluster: c, Addrs: slices.Clone(addrs), Expires: expires.UTC().Truncate(time.Second)}
	if _, err := rand.Read(i.secret[:]); err != nil {
		return nil, fmt.Errorf("draw an invite's secret: %w", err)
	}
	return i, nil
}

// An invite's token is text that survives mail and shells:
//
//	token    = base64url(version(1 byte) fields checksum(4 bytes)), no padding
//	fields   = array(4) cluster(32) secret(16) expires [address ...]
//	checksum = the first bytes of the SHA-256 of version and fields
//
// Fields are canonical msgpack; expires is in seconds since 1970. The checksum
// tells a typing mistake from a refusal; it protects nothing.
const (
	tokenVersion  = 1
	checksumBytes = 4
)

// Token returns the invite as text.
func (i *Invite) Token() string {
	b := crdt.AppendArray([]byte{tokenVersion}, 4)
	b = crdt.AppendBytes(b, i.Cluster[:])
	b = crdt.AppendBytes(b, i.secret[:])
	b = crdt.AppendUint(b, uint64(max(0, i.Expires.Unix())))
	b = crdt.AppendArray(b, len(i.Addrs))
	for _, a := range i.Addrs {
		b = crdt.AppendString(b, a)
	}
	return sealToken(b)
}

// sealToken makes text of a version and its fields.
func sealToken(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:checksumBytes]...))
}

// ParseToken reads what Token wrote; space around it, and line breaks that a
// mail or a terminal put into it, are ignored. Errors wrap ErrToken.
func ParseToken(token string) (*Invite, error) {
	token = strings.TrimSpace(token)
	if len(token) > maxTokenBytes {
		return nil, fmt.Errorf("%w: %d characters, at most %d are allowed", ErrToken, len(token), maxTokenBytes)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < 1+checksumBytes {
		return nil, fmt.Errorf("%w: it is no token, or was cut", ErrToken)
	}
	b, sum := b[:len(b)-checksumBytes], b[len(b)-checksumBytes:]
	if want := sha256.Sum256(b); !bytes.Equal(sum, want[:checksumBytes]) {
		return nil, fmt.Errorf("%w: its checksum is wrong: it was cut or mistyped", ErrToken)
	}
	if b[0] != tokenVersion {
		return nil, fmt.Errorf("%w: version %d, this release knows %d", ErrToken, b[0], tokenVersion)
	}
	i := &Invite{}
	r := crdt.NewReader(b[1:])
	if n := r.Array(4); r.Err() == nil && n != 4 {
		r.Fail("invite without four fields")
	}
	r.Fixed(i.Cluster[:])
	r.Fixed(i.secret[:])
	i.Expires = readTime(r)
	i.Addrs = readAddrs(r, maxInviteAddrs)
	if r.Err() == nil && len(i.Addrs) == 0 {
		r.Fail("invite without an address")
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrToken, err)
	}
	return i, nil
}

// maxSeconds is the last second of the year 9999.
const maxSeconds = 253402300799

// readTime reads seconds since 1970.
func readTime(r *crdt.Reader) time.Time {
	s := r.Uint()
	if s > maxSeconds {
		r.Fail("time beyond the year 9999")
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// readAddrs reads an array of addresses.
func readAddrs(r *crdt.Reader, limit int) (addrs []string) {
	n := r.Array(limit)
	for i := 0; i < n && r.Err() == nil; i++ {
		addrs = append(addrs, r.String(maxAddrBytes))
	}
	return addrs
}

// secretHash is what the authority keeps of a secret, so that its disk tells
// nobody how to join. A secret of 128 random bits needs no salt.
func (i *Invite) secretHash() [32]byte { return hashSecret(i.secret) }

func hashSecret(secret [secretBytes]byte) [32]byte {
	return sha256.Sum256(append([]byte("anabranch invite v1"), secret[:]...))
}
