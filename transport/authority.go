package transport

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// Authority is a cluster's root: the key that makes nodes members, and that
// ends their membership. Whoever holds it is the cluster's operator. It is
// immutable and safe for concurrent use.
type Authority struct {
	key     ed25519.PrivateKey
	cluster *Cluster
}

// forever is the time that RFC 5280 (4.1.2.5) keeps for certificates without
// an end. IEEE 802.1AR wants it for device identities, since an expiry needs
// a clock that devices do not have, and takes a fleet down at once.
func forever() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// always is from when on certificates are valid: a device that boots in 1970
// is no reason to lock it out.
func always() time.Time { return time.Unix(0, 0).UTC() }

// NewAuthority makes a cluster. A nil key means a random one. Equal keys give
// equal certificates.
func NewAuthority(key ed25519.PrivateKey) (*Authority, error) {
	key, err := keyOrRandom(key)
	if err != nil {
		return nil, err
	}
	id := clusterOf(key.Public().(ed25519.PublicKey))
	name := pkix.Name{CommonName: "anabranch " + id.Short()}
	der, err := certify(&x509.Certificate{
		Subject: name, Issuer: name, SerialNumber: big.NewInt(1),
		NotBefore: always(), NotAfter: forever(),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		SubjectKeyId: id[:20],
		// It also authenticates the joining server, by TLS.
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, key.Public().(ed25519.PublicKey), key)
	if err != nil {
		return nil, fmt.Errorf("make the cluster certificate: %w", err)
	}
	return newAuthority(key, der)
}

// newAuthority puts a key and its certificate together.
func newAuthority(key ed25519.PrivateKey, der []byte) (*Authority, error) {
	cluster, err := ParseCluster(der)
	if err != nil {
		return nil, err
	}
	if !cluster.key.Equal(key.Public()) {
		return nil, fmt.Errorf("%w: the authority's key is not that of cluster %s", ErrCredential, cluster.id.Short())
	}
	return &Authority{key: key, cluster: cluster}, nil
}

// Cluster returns what members need to know of a.
func (a *Authority) Cluster() *Cluster { return a.cluster }

// Issue returns a certificate, X.509 DER of about 300 bytes and its grants,
// that makes node a member until notAfter; the zero time means without end.
// Equal arguments give equal bytes. Errors wrap ErrCredential.
func (a *Authority) Issue(node crdt.NodeID, grants Grants, notAfter time.Time) ([]byte, error) {
	grants, err := grants.useful()
	if err != nil {
		return nil, err
	}
	if notAfter.IsZero() {
		notAfter = forever()
	}
	encoded := appendGrants(nil, grants)
	der, err := certify(&x509.Certificate{
		Issuer:       pkix.Name{CommonName: "anabranch " + a.cluster.id.Short()},
		SerialNumber: serial(node, encoded, notAfter),
		NotBefore:    always(), NotAfter: notAfter.UTC(),
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: grantsOID, Critical: true, Value: encoded}},
	}, ed25519.PublicKey(node[:]), a.key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate to node %s: %w: %v", node.Short(), ErrCredential, err)
	}
	return der, nil
}

// serial names a certificate by what it says, so that issuing the same again
// is no second certificate.
func serial(node crdt.NodeID, grants []byte, notAfter time.Time) *big.Int {
	b := crdt.AppendBytes(nil, node[:])
	b = crdt.AppendBytes(b, grants)
	b = binary.BigEndian.AppendUint64(b, uint64(notAfter.Unix()))
	sum := sha256.Sum256(b)
	sum[0] = sum[0]&0x7f | 0x40 // positive, and always of one length
	return new(big.Int).SetBytes(sum[:16])
}

func certify(c *x509.Certificate, subject ed25519.PublicKey, by ed25519.PrivateKey) ([]byte, error) {
	parent := &x509.Certificate{Subject: c.Issuer, PublicKey: by.Public()}
	if c.IsCA {
		parent = c
	}
	return x509.CreateCertificate(rand.Reader, c, parent, subject, by)
}

// Enroll makes key a member and returns its identity. A nil key means a
// random one.
func (a *Authority) Enroll(key ed25519.PrivateKey, grants Grants) (*Identity, error) {
	key, err := keyOrRandom(key)
	if err != nil {
		return nil, err
	}
	der, err := a.Issue(NodeOf(key), grants, time.Time{})
	if err != nil {
		return nil, err
	}
	return NewIdentity(key, der, a.cluster.der)
}

// keyOrRandom returns key, or a random one for nil.
func keyOrRandom(key ed25519.PrivateKey) (ed25519.PrivateKey, error) {
	if key == nil {
		return NewKey()
	}
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: an ed25519 key of %d bytes", ErrCredential, len(key))
	}
	return key, nil
}
