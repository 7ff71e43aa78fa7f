package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/crdt"
)

// Joining is one question and one answer on one stream of a connection with
// alpnJoin, each a frame as on links (frame.go), in canonical msgpack:
//
//	question = array(2) version secret(16)
//	answer   = array(5) version status certificate cluster [address ...]
//
// The node's key is proved by the TLS client certificate, which the node made
// itself; the authority proves its own by the TLS server certificate. So the
// secret is told to nobody but the authority, and the certificate is issued to
// nobody but the node. Certificates are DER, empty unless the status is 0;
// addresses are of peers to begin with.
//
// A version that the other side does not know ends the connection. Nothing is
// redeemed then.
const joinVersion = 1

// Statuses of an answer. The numbers are frozen.
const (
	joined uint64 = iota
	joinUnknown
	joinExpired
	joinUsed
	joinBusy
	joinRevoked
	joinFailed
)

// joinError tells what a status is here.
func joinError(status uint64) error {
	switch status {
	case joined:
		return nil
	case joinUnknown:
		return ErrInviteUnknown
	case joinExpired:
		return ErrInviteExpired
	case joinUsed:
		return ErrInviteUsed
	case joinBusy:
		return ErrBusy
	case joinRevoked:
		return ErrRevoked
	}
	return fmt.Errorf("the authority failed (status %d)", status)
}

// joinStatus tells how an error is answered; what the authority's disk says
// is none of a stranger's business.
func joinStatus(err error) uint64 {
	for s := joined; s < joinFailed; s++ {
		if errors.Is(err, joinError(s)) {
			return s
		}
	}
	return joinFailed
}

// JoinOptions set up Join. The zero value works.
type JoinOptions struct {
	// Conn is the packet network to use in place of an own UDP socket. It
	// stays open.
	Conn net.PacketConn
}

// Join makes key's node a member of the cluster that invited it, and returns
// its identity and the addresses of peers to begin with. The key should be on
// disk before: should the answer get lost, or the device its power, the same
// key may ask again and gets the same certificate; another one is refused.
//
// Errors: ErrToken; and for each address of the invite ErrUnreachable,
// ErrUntrusted (that is not the cluster's authority), ErrInviteUnknown,
// ErrInviteExpired, ErrInviteUsed, ErrRevoked, or ErrBusy, joined. It blocks
// until ctx ends or every address has failed.
func Join(ctx context.Context, token string, key ed25519.PrivateKey, o JoinOptions) (*Identity, []string, error) {
	invite, err := ParseToken(token)
	if err != nil {
		return nil, nil, err
	}
	if o.Conn == nil {
		conn, err := listenUDP(":0")
		if err != nil {
			return nil, nil, err
		}
		defer conn.Close()
		o.Conn = conn
	}
	transport := &quic.Transport{Conn: sturdy(o.Conn)}
	defer transport.Close()
	var errs []error
	for _, addr := range invite.Addrs {
		id, peers, err := invite.join(ctx, transport, addr, key)
		if err == nil {
			return id, peers, nil
		}
		errs = append(errs, fmt.Errorf("join %s at %s: %w", invite.Cluster.Short(), addr, err))
	}
	return nil, nil, errors.Join(errs...)
}

// join asks at one address.
func (i *Invite) join(ctx context.Context, t *quic.Transport, addr string, key ed25519.PrivateKey) (*Identity, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*handshakeTimeout+joinTimeout)
	defer cancel()
	config, err := joinClientConfig(key, i.Cluster)
	if err != nil {
		return nil, nil, err
	}
	at, err := resolve(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	conn, err := connect(ctx, t, at, config, &quic.Config{
		HandshakeIdleTimeout: handshakeTimeout, MaxIncomingStreams: -1, MaxIncomingUniStreams: -1,
	})
	if err != nil {
		return nil, nil, err
	}
	defer conn.CloseWithError(quic.ApplicationErrorCode(CodeNone), "")
	answer, err := i.ask(ctx, conn)
	if err != nil {
		return nil, nil, dialError(err)
	}
	return i.accept(key, answer)
}

// ask sends the secret and returns the answer's frame.
func (i *Invite) ask(ctx context.Context, conn *quic.Conn) (answer []byte, err error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	question := appendQuestion(nil, i.secret)
	if _, err := stream.Write(append(appendLength(nil, len(question)), question...)); err != nil {
		return nil, err
	}
	err = readWithin(ctx, stream, func() (err error) {
		answer, err = newFrameReader(stream, maxJoinAnswerBytes).next()
		return err
	})
	return answer, err
}

// accept checks that the answer makes key a member of the right cluster.
func (i *Invite) accept(key ed25519.PrivateKey, answer []byte) (*Identity, []string, error) {
	a, err := decodeAnswer(answer)
	if err != nil {
		return nil, nil, err
	}
	if err := joinError(a.status); err != nil {
		return nil, nil, err
	}
	id, err := NewIdentity(key, a.Certificate, a.Cluster)
	if err != nil {
		return nil, nil, err
	}
	if id.cluster.id != i.Cluster {
		return nil, nil, fmt.Errorf("%w: invited to %s, and given %s", ErrCluster, i.Cluster.Short(), id.cluster.id.Short())
	}
	return id, a.Peers, nil
}

func appendQuestion(dst []byte, secret [secretBytes]byte) []byte {
	dst = crdt.AppendUint(crdt.AppendArray(dst, 2), joinVersion)
	return crdt.AppendBytes(dst, secret[:])
}

func decodeQuestion(b []byte) (secret [secretBytes]byte, err error) {
	r := crdt.NewReader(b)
	if n := r.Array(2); r.Err() == nil && n != 2 {
		r.Fail("question without two fields")
	}
	if v := r.Uint(); r.Err() == nil && v != joinVersion {
		r.Fail(fmt.Sprintf("version %d, this release knows %d", v, joinVersion))
	}
	r.Fixed(secret[:])
	if err := r.Done(); err != nil {
		return secret, fmt.Errorf("%w: question: %v", errFrame, err)
	}
	return secret, nil
}

// answer is a decoded one.
type answer struct {
	status uint64
	Membership
}

func appendAnswer(dst []byte, a answer) []byte {
	dst = crdt.AppendUint(crdt.AppendArray(dst, 5), joinVersion)
	dst = crdt.AppendUint(dst, a.status)
	dst = crdt.AppendBytes(dst, a.Certificate)
	dst = crdt.AppendBytes(dst, a.Cluster)
	dst = crdt.AppendArray(dst, len(a.Peers))
	for _, p := range a.Peers {
		dst = crdt.AppendString(dst, p)
	}
	return dst
}

func decodeAnswer(b []byte) (a answer, err error) {
	r := crdt.NewReader(b)
	if n := r.Array(5); r.Err() == nil && n != 5 {
		r.Fail("answer without five fields")
	}
	if v := r.Uint(); r.Err() == nil && v != joinVersion {
		r.Fail(fmt.Sprintf("version %d, this release knows %d", v, joinVersion))
	}
	a.status = r.Uint()
	a.Certificate = slices.Clone(r.Bytes(maxCertificateBytes))
	a.Cluster = slices.Clone(r.Bytes(maxCertificateBytes))
	a.Peers = readAddrs(r, maxJoinPeers)
	if err := r.Done(); err != nil {
		return answer{}, fmt.Errorf("%w: answer: %v", errFrame, err)
	}
	return a, nil
}

// selfCertificate wraps key in a certificate, since TLS has no bare keys.
func selfCertificate(key ed25519.PrivateKey) ([]byte, error) {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: always(), NotAfter: forever()}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate to join with: %w", err)
	}
	return der, nil
}
