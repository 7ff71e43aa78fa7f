package transport

import (
	"context"
	"fmt"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/crdt"
)

// Registrar decides who joins. [Invites] is one. It must be safe for
// concurrent use.
type Registrar interface {
	// Redeem makes node a member if it knows a valid secret. It must have
	// stored durably that the secret is used before it returns, and must
	// answer the same to the same node again, since answers get lost.
	// ErrInviteUnknown, ErrInviteExpired, ErrInviteUsed and ErrBusy reach the
	// other side; any other error only as a failure.
	Redeem(ctx context.Context, node crdt.NodeID, secretHash [32]byte) (Membership, error)
}

// Membership is what a node that joins is given.
type Membership struct {
	// Certificate is the node's, and Cluster the authority's, in DER.
	Certificate, Cluster []byte
	// Peers are addresses of members, host:port, at most 256.
	Peers []string
}

// joinServer answers strangers, few at a time, and each address only so often.
type joinServer struct {
	registrar Registrar
	revoked   func(crdt.NodeID) bool
	attempts  *attempts
	places    chan struct{}
}

func newJoinServer(r Registrar, revoked func(crdt.NodeID) bool) *joinServer {
	return &joinServer{registrar: r, revoked: revoked, attempts: newAttempts(), places: make(chan struct{}, maxJoins)}
}

// serve answers on one connection and ends it.
func (s *joinServer) serve(ctx context.Context, conn *quic.Conn) {
	code := CodeBusy
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
		code = CodeNone
		if err := s.converse(ctx, conn); err != nil {
			code = codeOf(err)
		}
	default:
	}
	_ = conn.CloseWithError(quic.ApplicationErrorCode(code), "")
}

func (s *joinServer) converse(ctx context.Context, conn *quic.Conn) error {
	node, err := joiner(conn.ConnectionState().TLS)
	if err != nil {
		return err
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return err
	}
	var question []byte
	err = readWithin(ctx, stream, func() (err error) {
		question, err = newFrameReader(stream, maxJoinRequestBytes).next()
		return err
	})
	if err != nil {
		return err
	}
	secret, err := decodeQuestion(question)
	if err != nil {
		return err
	}
	m, err := s.redeem(ctx, conn, node, secret)
	reply := appendAnswer(nil, answer{joinStatus(err), m})
	if _, err := stream.Write(append(appendLength(nil, len(reply)), reply...)); err != nil {
		return err
	}
	// Closing would overtake the answer. The other side closes once it has
	// it, and it has an interest in being quick.
	select {
	case <-conn.Context().Done():
	case <-ctx.Done():
	}
	return nil
}

// redeem asks the registrar, unless this address has failed too often.
func (s *joinServer) redeem(ctx context.Context, conn *quic.Conn, node crdt.NodeID, secret [secretBytes]byte) (Membership, error) {
	from := conn.RemoteAddr()
	if !s.attempts.take(from) {
		return Membership{}, ErrBusy
	}
	if s.revoked(node) {
		return Membership{}, fmt.Errorf("%w: %s", ErrRevoked, node.Short())
	}
	m, err := s.registrar.Redeem(ctx, node, hashSecret(secret))
	if err != nil {
		return Membership{}, err
	}
	s.attempts.giveBack(from)
	return m, nil
}
