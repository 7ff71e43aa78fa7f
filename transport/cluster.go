package transport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// ClusterID names a cluster: the SHA-256 of its authority's public key.
type ClusterID [32]byte

// String returns the id in hex.
func (c ClusterID) String() string { return hex.EncodeToString(c[:]) }

// Short returns the first 8 hex digits, for people to read.
func (c ClusterID) Short() string { return hex.EncodeToString(c[:4]) }

// clusterOf returns the id of the cluster that key is the authority of.
func clusterOf(key ed25519.PublicKey) ClusterID { return sha256.Sum256(key) }

// Cluster is what every member knows of its authority: enough to verify what
// it signed. It is immutable.
type Cluster struct {
	id  ClusterID
	key ed25519.PublicKey
	der []byte
}

// ParseCluster reads an authority's certificate: X.509 DER, self-signed,
// ed25519. It has no validity in time, since it is pinned by its key. Errors
// wrap ErrCredential.
func ParseCluster(der []byte) (*Cluster, error) {
	cert, key, err := parseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cluster certificate: %w", err)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("cluster certificate: %w: it is not an authority's", ErrCredential)
	}
	if !signedBy(cert, key) {
		return nil, fmt.Errorf("cluster certificate: %w: it is not signed by its own key", ErrCredential)
	}
	return &Cluster{id: clusterOf(key), key: key, der: bytes.Clone(cert.Raw)}, nil
}

// ID returns the cluster's id.
func (c *Cluster) ID() ClusterID { return c.id }

// Certificate returns the authority's certificate in DER. It must not be
// modified.
func (c *Cluster) Certificate() []byte { return c.der }

// ParseCredential reads a node's certificate, X.509 DER, and verifies that
// the cluster's authority signed it. It does not look at the time: a writer's
// old records stay valid when its certificate expires; Credential.ValidAt
// does. Errors wrap ErrCredential, or ErrCluster where another authority
// signed.
func (c *Cluster) ParseCredential(der []byte) (Credential, error) {
	cert, key, err := parseCertificate(der)
	if err != nil {
		return Credential{}, fmt.Errorf("node certificate: %w", err)
	}
	cred := Credential{
		Node: crdt.NodeID(key), Cluster: c.id,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, der: cert.Raw,
	}
	if !signedBy(cert, c.key) {
		return Credential{}, fmt.Errorf("node certificate: %w: node %s is not a member of %s",
			ErrCluster, cred.Node.Short(), c.id.Short())
	}
	if cert.IsCA {
		return Credential{}, fmt.Errorf("node certificate: %w: it is an authority's", ErrCredential)
	}
	if cred.Grants, err = grantsOf(cert); err != nil {
		return Credential{}, fmt.Errorf("node certificate of %s: %w", cred.Node.Short(), err)
	}
	return cred, nil
}

// parseCertificate reads an X.509 certificate with an ed25519 key and
// signature, and nothing critical that is not understood.
func parseCertificate(der []byte) (*x509.Certificate, ed25519.PublicKey, error) {
	if len(der) > maxCertificateBytes {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrCredential, len(der), maxCertificateBytes)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrCredential, err)
	}
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok || cert.SignatureAlgorithm != x509.PureEd25519 {
		return nil, nil, fmt.Errorf("%w: key %v and signature %v, both must be Ed25519",
			ErrCredential, cert.PublicKeyAlgorithm, cert.SignatureAlgorithm)
	}
	for _, id := range cert.UnhandledCriticalExtensions {
		if !id.Equal(grantsOID) {
			return nil, nil, fmt.Errorf("%w: critical extension %v is unknown", ErrCredential, id)
		}
	}
	return cert, key, nil
}

// signedBy reports whether key signed cert. It is all of the chain: an
// authority signs nodes and nobody else does.
func signedBy(cert *x509.Certificate, key ed25519.PublicKey) bool {
	return ed25519.Verify(key, cert.RawTBSCertificate, cert.Signature)
}

// Credential is the verified identity of a node: what its certificate says.
type Credential struct {
	// Node is the node's public key.
	Node crdt.NodeID
	// Cluster is whose authority signed.
	Cluster ClusterID
	// Grants say which namespaces the node may read and write.
	Grants Grants
	// NotBefore and NotAfter bound the certificate's validity, inclusive.
	NotBefore, NotAfter time.Time

	der []byte
}

// Certificate returns the certificate in DER, for others to verify. It is nil
// for a credential that no certificate stands behind, as in simulations, and
// must not be modified.
func (c Credential) Certificate() []byte { return c.der }

// ValidAt checks the time. The error wraps ErrExpired.
func (c Credential) ValidAt(now time.Time) error {
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return fmt.Errorf("%w: node %s: valid from %s to %s, and the clock here says %s", ErrExpired, c.Node.Short(),
			c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly), now.UTC().Format(time.RFC3339))
	}
	return nil
}
