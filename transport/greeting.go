package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quic-go/quic-go"
)

// A greeting is what turns a QUIC connection into a Link: the exchange of
// prefaces, after which each side knows that the other has judged its
// certificate.

// acceptAll greets whoever finished a handshake, until the listener closes.
// There are no more greetings at a time than admission lets in.
func (q *QUIC) acceptAll() {
	defer q.cancel() // without a listener there is nothing to accept
	for {
		conn, err := q.listener.Accept(q.context)
		if err != nil {
			return
		}
		q.running.Go(func() { q.greet(conn) })
	}
}

// greet makes a link of a connection that a peer dialed, and hands it to
// Accept. Who cannot be greeted is closed; it was told why.
func (q *QUIC) greet(conn *quic.Conn) {
	if conn.ConnectionState().TLS.NegotiatedProtocol == alpnJoin {
		ctx, cancel := context.WithTimeout(q.context, joinTimeout)
		defer cancel()
		q.joins.serve(ctx, conn)
		return
	}
	ctx, cancel := context.WithTimeout(q.context, prefaceTimeout)
	defer cancel()
	l, err := q.answer(ctx, conn)
	if code, reason, kept := keptCode(err); kept {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
		return
	}
	if err != nil {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(codeOf(err)), "")
		return
	}
	admitted(conn)
	select {
	case q.accepted <- l:
	case <-ctx.Done():
		_ = l.Close(CodeBusy, busyReason(prefaceTimeout))
	}
}

// answer waits for the dialer's preface and sends ours.
func (q *QUIC) answer(ctx context.Context, conn *quic.Conn) (*quicLink, error) {
	peer, err := q.verifier.verify(conn.ConnectionState().TLS)
	if err != nil {
		return nil, err
	}
	if err := q.penalties().enter(peer.Node, conn.RemoteAddr()); err != nil {
		return nil, err
	}
	stream, err := conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	in, err := q.hear(ctx, stream)
	if err != nil {
		q.penalties().broke(peer.Node, codeOf(err))
		return nil, err
	}
	l, err := q.newLink(conn, stream, in, false)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write(appendPreface(nil, q.instance)); err != nil {
		return nil, err
	}
	return l, nil
}

// hear reads the peer's preface.
func (q *QUIC) hear(ctx context.Context, stream *quic.Stream) (in Instance, err error) {
	err = readWithin(ctx, stream, func() (err error) {
		in, err = readPreface(stream)
		return err
	})
	if err == nil && in == q.instance {
		err = ErrSelf
	}
	return in, err
}

// introduce sends our preface and waits for the acceptor's.
func (q *QUIC) introduce(ctx context.Context, conn *quic.Conn) (*quicLink, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write(appendPreface(nil, q.instance)); err != nil {
		return nil, err
	}
	in, err := q.hear(ctx, stream)
	if err != nil {
		return nil, err
	}
	return q.newLink(conn, stream, in, true)
}

// newLink registers a link. It asks once more whether the peer is a member,
// now that CloseRevoked can find the link: one of both sees a revocation that
// was learned since the handshake.
func (q *QUIC) newLink(conn *quic.Conn, stream *quic.Stream, in Instance, dialed bool) (*quicLink, error) {
	state := conn.ConnectionState().TLS
	peer, err := q.verifier.verify(state)
	if err != nil {
		return nil, err
	}
	l := &quicLink{
		network: q, conn: conn, stream: stream, peer: peer, instance: in, dialed: dialed,
		short:   state.NegotiatedProtocol == alpnLink,
		sending: make(chan struct{}, 1), pace: q.penalties().pace(peer.Node),
	}
	if dialed {
		l.dialedAt = conn.RemoteAddr()
	}
	l.writing.deadline, l.reading.deadline = stream.SetWriteDeadline, stream.SetReadDeadline
	l.frames = newFrameReader(watchedReader{l}, MaxFrameBytes)
	l.frames.short = l.short
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil, fmt.Errorf("the network is %w", ErrClosed)
	}
	surplus := q.surplus(l)
	q.links[peer.Node] = append(q.links[peer.Node], l)
	q.mu.Unlock()
	for _, old := range surplus {
		_ = old.Close(CodeDuplicate, "")
	}
	context.AfterFunc(conn.Context(), func() { q.forget(l) })
	if q.options.Revoked(peer.Node) {
		return nil, fmt.Errorf("%w: %s", ErrRevoked, peer.Node.Short())
	}
	return l, nil
}

// surplus returns the links to end now that a new one of the same identity
// comes: those of a process that was where another is now, and the oldest
// where there are too many, since a peer that keeps dialing must not fill the
// house. q.mu is held.
func (q *QUIC) surplus(l *quicLink) (out []*quicLink) {
	all, same := 1, 1
	for _, old := range slices.Backward(q.links[l.peer.Node]) {
		if old.instance == l.instance {
			same++
		}
		all++
		switch gone := old.instance != l.instance && old.RemoteAddr() == l.RemoteAddr(); {
		case gone, all > maxLinksPerNode, old.instance == l.instance && same > maxLinksPerInstance:
			out = append(out, old)
		}
	}
	return out
}

// forget drops a link that has ended.
func (q *QUIC) forget(l *quicLink) {
	l.writing.release()
	l.reading.release()
	q.mu.Lock()
	defer q.mu.Unlock()
	node := l.peer.Node
	q.links[node] = slices.DeleteFunc(q.links[node], func(o *quicLink) bool { return o == l })
	if len(q.links[node]) == 0 {
		delete(q.links, node)
	}
}

// codeOf returns the code that tells the peer what went wrong.
func codeOf(err error) Code {
	switch {
	case errors.Is(err, ErrSelf):
		return CodeSelf
	case errors.Is(err, ErrRevoked):
		return CodeRevoked
	case errors.Is(err, errFrame):
		return CodeProtocol
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrUnreachable):
		return CodeTimeout
	case errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		return CodeGoingAway
	}
	return CodeInternal
}
