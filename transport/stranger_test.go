package transport_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/transport"
)

// stranger speaks QUIC to a network by its own rules.
type stranger struct {
	world     *world
	transport *quic.Transport
}

func (w *world) stranger() *stranger {
	w.t.Helper()
	var conn net.PacketConn
	if w.net != nil {
		conn = w.socket("")
	} else {
		udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			w.t.Fatal(err)
		}
		conn = udp
	}
	tr := &quic.Transport{Conn: conn}
	w.t.Cleanup(func() {
		tr.Close()
		conn.Close()
	})
	return &stranger{w, tr}
}

// strangerTLS accepts any server and shows that certificate.
func strangerTLS(proto string, certs ...tls.Certificate) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}, Certificates: certs}
}

// dial connects and waits until the other side has judged the connection: it
// returns the stream on which it answered, or why it did not.
func (s *stranger) dial(addr string, conf *tls.Config, preface []byte) (*quic.Conn, *quic.Stream, error) {
	s.world.t.Helper()
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		s.world.t.Fatal(err)
	}
	ctx := soon(s.world.t)
	conn, err := s.transport.Dial(ctx, at, conf, &quic.Config{MaxIdleTimeout: time.Hour, HandshakeIdleTimeout: 5 * time.Second})
	if err != nil {
		return nil, nil, err
	}
	s.world.t.Cleanup(func() { conn.CloseWithError(0, "") })
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return conn, nil, err
	}
	if _, err := stream.Write(preface); err != nil {
		return conn, stream, err
	}
	_, err = stream.Read(make([]byte, 16))
	return conn, stream, err
}

// preface is what a dialer sends first.
func preface(instance string) []byte {
	return append([]byte("ANBR\x01\x00\x00\x00"), (instance + "--------")[:8]...)
}

// selfSigned makes a certificate for key that names whom it likes.
func selfSigned(t testing.TB, key ed25519.PrivateKey, template *x509.Certificate) tls.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	template.NotAfter = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// member is the TLS certificate of an identity with that key.
func member(id *transport.Identity, key ed25519.PrivateKey) tls.Certificate {
	cred := id.Credential()
	return tls.Certificate{Certificate: [][]byte{cred.Certificate()}, PrivateKey: key}
}

// neverAccepts fails if a network hands out a link.
func neverAccepts(t testing.TB, n transport.Network) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if l, err := n.Accept(ctx); err == nil {
		peer := l.Peer()
		t.Errorf("a link was handed out, with %s", peer.Node)
	}
}

// selfSignedKey is what a node that joins shows.
func selfSignedKey(t testing.TB) tls.Certificate {
	return selfSigned(t, newKey(t), &x509.Certificate{})
}
