package transport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// Identity is a member: a node's key, its certificate, and the cluster. It is
// immutable and safe for concurrent use.
type Identity struct {
	key        ed25519.PrivateKey
	credential Credential
	cluster    *Cluster
}

// NewKey makes a node's key.
func NewKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

// NodeOf returns the node that key is of.
func NodeOf(key ed25519.PrivateKey) crdt.NodeID {
	return crdt.NodeID(key.Public().(ed25519.PublicKey))
}

// NewIdentity puts a key together with its node's certificate and its
// cluster's, both in DER, having verified that they belong to each other. It
// does not look at the time. Errors wrap ErrCredential or ErrCluster.
func NewIdentity(key ed25519.PrivateKey, certificate, cluster []byte) (*Identity, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: an ed25519 key of %d bytes", ErrCredential, len(key))
	}
	c, err := ParseCluster(cluster)
	if err != nil {
		return nil, err
	}
	cred, err := c.ParseCredential(bytes.Clone(certificate))
	if err != nil {
		return nil, err
	}
	if cred.Node != NodeOf(key) {
		return nil, fmt.Errorf("%w: the certificate is of node %s, and the key of %s",
			ErrCredential, cred.Node.Short(), NodeOf(key).Short())
	}
	return &Identity{key: key, credential: cred, cluster: c}, nil
}

// Node returns the node's id.
func (id *Identity) Node() crdt.NodeID { return id.credential.Node }

// Credential returns what others see of the node.
func (id *Identity) Credential() Credential { return id.credential }

// Cluster returns the cluster that the node is a member of.
func (id *Identity) Cluster() *Cluster { return id.cluster }

// Sign signs msg with the node's key. The error is always nil; callers may
// have signers for which it is not.
func (id *Identity) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(id.key, msg), nil }

// certificate returns what TLS presents.
func (id *Identity) certificate() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{id.credential.der}, PrivateKey: id.key}
}

// resetKeyInfo separates the key of stateless resets from other uses of the
// node's key.
const resetKeyInfo = "anabranch stateless reset v1"

// resetKey derives the key of stateless resets (RFC 9000, 10.3). It is the
// same after a restart, which is how peers learn at once that their links are
// gone.
func (id *Identity) resetKey() ([]byte, error) {
	key, err := hkdf.Key(sha256.New, id.key.Seed(), nil, resetKeyInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the stateless reset key: %w", err)
	}
	return key, nil
}
