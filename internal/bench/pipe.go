package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/transport"
)

// alpn is the protocol of bare connections.
const alpn = "bench"

// bareTLS returns the configuration of one end of mutual TLS with certificates
// such as nodes have. Nobody looks at them: what is measured is the handshake.
func bareTLS(authority *transport.Authority) (*tls.Config, error) {
	key, err := transport.NewKey()
	if err != nil {
		return nil, err
	}
	der, err := authority.Issue(transport.NodeOf(key), transport.AllNamespaces(), time.Time{})
	if err != nil {
		return nil, err
	}
	return tlsOf(key, der, alpn), nil
}

func tlsOf(key ed25519.PrivateKey, der []byte, alpn string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpn},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   tls.RequireAnyClientCert, InsecureSkipVerify: true, SessionTicketsDisabled: true,
	}
}

// bareConfig has the windows that links have.
func bareConfig() *quic.Config {
	return &quic.Config{
		MaxIdleTimeout: 5 * time.Minute, HandshakeIdleTimeout: 5 * time.Second,
		InitialStreamReceiveWindow: 256 << 10, MaxStreamReceiveWindow: 1 << 20,
		InitialConnectionReceiveWindow: 256 << 10, MaxConnectionReceiveWindow: 1 << 20,
		MaxIncomingStreams: 1, MaxIncomingUniStreams: -1,
	}
}

// bareSocket opens quic-go on a UDP socket of the loopback.
func bareSocket(l *Lab) (*quic.Transport, error) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	t := &quic.Transport{Conn: socket}
	l.Cleanup(func() error { return errors.Join(t.Close(), socket.Close()) })
	return t, nil
}

// bareHost accepts bare connections.
type bareHost struct {
	*quic.Listener
	addr      net.Addr
	authority *transport.Authority
}

func listenBare(l *Lab) (*bareHost, error) {
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		return nil, err
	}
	t, err := bareSocket(l)
	if err != nil {
		return nil, err
	}
	conf, err := bareTLS(authority)
	if err != nil {
		return nil, err
	}
	listener, err := t.Listen(conf, bareConfig())
	if err != nil {
		return nil, err
	}
	return &bareHost{listener, t.Conn.LocalAddr(), authority}, nil
}

// dial connects at addr, the host's or that of what is between, and opens a
// stream, which the host has heard a byte of.
func (h *bareHost) dial(ctx context.Context, t *quic.Transport, addr net.Addr) (near, far *quic.Stream, conn *quic.Conn, err error) {
	conf, err := bareTLS(h.authority)
	if err != nil {
		return nil, nil, nil, err
	}
	conn, err = t.Dial(ctx, addr, conf, bareConfig())
	if err != nil {
		return nil, nil, nil, err
	}
	if near, err = conn.OpenStreamSync(ctx); err != nil {
		return nil, nil, nil, err
	}
	if _, err = near.Write([]byte{0}); err != nil {
		return nil, nil, nil, err
	}
	accepted, err := h.Accept(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if far, err = accepted.AcceptStream(ctx); err != nil {
		return nil, nil, nil, err
	}
	_, err = io.ReadFull(far, make([]byte, 1))
	return near, far, conn, err
}

// barePipe opens a stream between two sockets of this machine.
func barePipe(l *Lab) (near, far *quic.Stream, err error) {
	host, err := listenBare(l)
	if err != nil {
		return nil, nil, err
	}
	t, err := bareSocket(l)
	if err != nil {
		return nil, nil, err
	}
	near, far, _, err = host.dial(l.Context, t, host.addr)
	return near, far, err
}
