package transport

import (
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// The application protocols, two for links, which differ in how frames are
// framed (frame.go), and one for joining. All are served on one socket; TLS picks
// one before anything else is looked at.
const (
	alpnLink = "anabranch/2"
	alpnOld  = "anabranch/1"
	alpnJoin = "anabranch-join/1"
)

// verifier judges the certificates of peers.
type verifier struct {
	cluster      *Cluster
	revoked      func(crdt.NodeID) bool
	now          func() time.Time
	ignoreExpiry bool
}

// untrusted is ErrUntrusted with its cause, to be found again under what TLS
// and QUIC wrap around it, and with the alert that tells the peer.
type untrusted struct{ cause error }

func (u *untrusted) Error() string   { return fmt.Sprintf("%v: %v", ErrUntrusted, u.cause) }
func (u *untrusted) Unwrap() []error { return []error{ErrUntrusted, u.cause, u.alert()} }

// The alerts of TLS (RFC 8446, 6.2) that tell a peer why its certificate is
// not accepted, once it has proved that it holds the key.
const (
	alertBadCertificate     tls.AlertError = 42
	alertCertificateRevoked tls.AlertError = 44
	alertCertificateExpired tls.AlertError = 45
	alertNoProtocol         tls.AlertError = 120
)

func (u *untrusted) alert() tls.AlertError {
	switch {
	case errors.Is(u.cause, ErrRevoked):
		return alertCertificateRevoked
	case errors.Is(u.cause, ErrExpired):
		return alertCertificateExpired
	}
	return alertBadCertificate
}

// verify returns the credential behind a TLS connection, if it is a member's.
// It runs as VerifyConnection, which crypto/tls calls on every connection, a
// resumed one too, as it does not VerifyPeerCertificate (CVE-2025-68121).
// Errors are *untrusted.
func (v *verifier) verify(state tls.ConnectionState) (Credential, error) {
	cred, err := v.judge(state)
	if err != nil {
		return Credential{}, &untrusted{err}
	}
	return cred, nil
}

func (v *verifier) judge(state tls.ConnectionState) (Credential, error) {
	if state.DidResume {
		return Credential{}, fmt.Errorf("%w: a resumed session", ErrCredential)
	}
	if len(state.PeerCertificates) != 1 {
		return Credential{}, fmt.Errorf("%w: %d certificates, want the node's alone", ErrCredential, len(state.PeerCertificates))
	}
	cred, err := v.cluster.ParseCredential(state.PeerCertificates[0].Raw)
	if err != nil {
		return Credential{}, err
	}
	if !v.ignoreExpiry {
		if err := cred.ValidAt(v.now()); err != nil {
			return Credential{}, err
		}
	}
	if v.revoked(cred.Node) {
		return Credential{}, fmt.Errorf("%w: %s", ErrRevoked, cred.Node.Short())
	}
	return cred, nil
}

// linkConfig is the TLS of links, for both sides: mutual, 1.3, nothing that
// outlives a connection. InsecureSkipVerify only turns off the Web's rules
// (host names, public authorities, today's date); verify has ours.
func linkConfig(id *Identity, v *verifier) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{alpnLink, alpnOld},
		Certificates:           []tls.Certificate{id.certificate()},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := v.verify(state)
			return err
		},
	}
}

// serverConfig picks the configuration by what the client wants to talk. A
// client that offers links gets links.
func serverConfig(link, join *tls.Config) *tls.Config {
	c := link.Clone()
	if join != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if slices.Contains(hello.SupportedProtos, alpnJoin) && !slices.Contains(hello.SupportedProtos, alpnLink) &&
				!slices.Contains(hello.SupportedProtos, alpnOld) {
				return join, nil
			}
			return link, nil
		}
	}
	return c
}

// joinServerConfig is the TLS of the joining server: the authority itself
// answers, so that no other member can collect the secrets of invites.
func joinServerConfig(a *Authority) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{alpnJoin},
		Certificates:           []tls.Certificate{{Certificate: [][]byte{a.cluster.der}, PrivateKey: a.key}},
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := joiner(state)
			return err
		},
	}
}

// joinClientConfig is the TLS of a node that joins: it shows its key, in a
// certificate of its own making, and wants the authority of the cluster that
// the invite names.
func joinClientConfig(key ed25519.PrivateKey, want ClusterID) (*tls.Config, error) {
	der, err := selfCertificate(key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{alpnJoin},
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: true,
		VerifyConnection:       func(state tls.ConnectionState) error { return authorityOf(want, state) },
	}, nil
}

// authorityOf wants the other side to be the authority of a cluster. Errors
// are *untrusted.
func authorityOf(want ClusterID, state tls.ConnectionState) error {
	if state.DidResume || len(state.PeerCertificates) != 1 {
		return &untrusted{fmt.Errorf("%w: want one certificate", ErrCredential)}
	}
	c, err := ParseCluster(state.PeerCertificates[0].Raw)
	if err != nil {
		return &untrusted{err}
	}
	if c.id != want {
		return &untrusted{fmt.Errorf("%w: the invite is for %s, and %s answered", ErrCluster, want.Short(), c.id.Short())}
	}
	return nil
}

// joiner returns the node that asks to join: TLS has proved that it holds the
// key, and nothing else in its certificate counts.
func joiner(state tls.ConnectionState) (crdt.NodeID, error) {
	if state.DidResume || len(state.PeerCertificates) != 1 {
		return crdt.NodeID{}, fmt.Errorf("%w: want one certificate", ErrCredential)
	}
	key, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return crdt.NodeID{}, fmt.Errorf("%w: the key must be ed25519", ErrCredential)
	}
	return crdt.NodeID(key), nil
}

// refusal tells the causes of a failed handshake apart. Peers of the first
// release say alertBadCertificate, whatever it was.
func refusal(err error, alert tls.AlertError) error {
	if u, ok := errors.AsType[*untrusted](err); ok {
		return u
	}
	switch alert {
	case alertNoProtocol:
		return fmt.Errorf("%w: it does not speak this protocol, or serves no joining", ErrRefused)
	case alertCertificateRevoked:
		return fmt.Errorf("%w: this node was revoked", ErrRefused)
	case alertCertificateExpired:
		return fmt.Errorf("%w: this node's certificate is not valid now, by the peer's clock", ErrRefused)
	case alertBadCertificate:
		return fmt.Errorf("%w: it does not accept this node's certificate (revoked, expired, or of another cluster)", ErrRefused)
	}
	return fmt.Errorf("%w: the handshake failed: %w", ErrRefused, err)
}
