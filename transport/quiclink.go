package transport

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// quicLink is a Link over one QUIC stream. It has no goroutine of its own.
type quicLink struct {
	network *QUIC
	conn    *quic.Conn
	stream  *quic.Stream
	peer    Credential
	dialed  bool

	sending chan struct{} // holds a token while a frame is being written
	frames  *frameReader  // of the one receiver
	stall   stallWatch

	framesSent, framesReceived atomic.Uint64
}

var _ Link = (*quicLink)(nil)

// Peer implements Link.
func (l *quicLink) Peer() Credential { return l.peer }

// Dialed implements Link.
func (l *quicLink) Dialed() bool { return l.dialed }

// RemoteAddr implements Link.
func (l *quicLink) RemoteAddr() string { return l.conn.RemoteAddr().String() }

// Send implements Link.
func (l *quicLink) Send(ctx context.Context, frame []byte) error {
	if err := checkFrame(len(frame)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.sending <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.conn.Context().Done():
		return l.ended(nil)
	}
	defer func() { <-l.sending }()
	sent, err := l.write(ctx, frame)
	switch {
	case err == nil:
		l.framesSent.Add(1)
		l.watch()
		return nil
	case !errors.Is(err, errInterrupted):
		return l.ended(err)
	case sent > 0:
		_ = l.Close(CodeNone, "a frame was cut off")
	}
	return ctx.Err()
}

var errInterrupted = errors.New("interrupted")

// write puts the frame on the stream and returns how much of it went out. The
// frame's length leaves together with its beginning.
func (l *quicLink) write(ctx context.Context, frame []byte) (sent int, err error) {
	buf := l.network.buffers.Get().(*[]byte)
	defer l.network.buffers.Put(buf)
	head := min(len(frame), writeBufferBytes-lengthBytes)
	*buf = append(appendLength((*buf)[:0], len(frame)), frame[:head]...)
	err = interruptible(ctx, l.stream.SetWriteDeadline, func() (err error) {
		if sent, err = l.stream.Write(*buf); err != nil || head == len(frame) {
			return err
		}
		n, err := l.stream.Write(frame[head:])
		sent += n
		return err
	})
	if err != nil && ctx.Err() != nil && isTimeout(err) {
		err = errInterrupted
	}
	return sent, err
}

// isTimeout reports whether err is a stream's deadline and not the end of the
// connection.
func isTimeout(err error) bool {
	var idle *quic.IdleTimeoutError
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() && !errors.As(err, &idle)
}

// Receive implements Link.
func (l *quicLink) Receive(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var frame []byte
	err := interruptible(ctx, l.stream.SetReadDeadline, func() (err error) {
		frame, err = l.frames.next()
		return err
	})
	switch {
	case err == nil:
		l.framesReceived.Add(1)
		return frame, nil
	case ctx.Err() != nil && isTimeout(err):
		return nil, ctx.Err()
	}
	return nil, l.ended(err)
}

// Close implements Link.
func (l *quicLink) Close(code Code, reason string) error {
	if len(reason) > maxReasonBytes {
		reason = strings.ToValidUTF8(reason[:maxReasonBytes], "")
	}
	return l.conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
}

// Stats implements Link.
func (l *quicLink) Stats() LinkStats {
	s := l.conn.ConnectionStats()
	return LinkStats{
		FramesSent: l.framesSent.Load(), FramesReceived: l.framesReceived.Load(),
		BytesSent: s.BytesSent, BytesReceived: s.BytesReceived,
		RTT: s.SmoothedRTT,
	}
}

// ended returns why the link has ended. Where only the stream did, the peer
// did not keep to the protocol, and the link ends with it.
func (l *quicLink) ended(err error) error {
	var stream *quic.StreamError
	if errors.Is(err, errFrame) || errors.Is(err, io.EOF) || errors.As(err, &stream) {
		_ = l.Close(CodeProtocol, err.Error())
		err = nil
	}
	if err == nil {
		err = context.Cause(l.conn.Context())
	}
	return closeError(err, l.network.options.IdleTimeout)
}

// closeError puts the end of a QUIC connection into our words.
func closeError(err error, idle time.Duration) *CloseError {
	var (
		app     *quic.ApplicationError
		quiet   *quic.IdleTimeoutError
		reset   *quic.StatelessResetError
		failure *quic.TransportError
	)
	switch {
	case errors.As(err, &app):
		code, reason := Code(app.ErrorCode), app.ErrorMessage
		if code >= CodeRestarted { // those are not for the wire
			code = CodeProtocol
		}
		if len(reason) > maxReasonBytes {
			reason = reason[:maxReasonBytes]
		}
		return &CloseError{Code: code, Remote: app.Remote, Reason: reason}
	case errors.As(err, &quiet):
		return &CloseError{Code: CodeTimeout, Reason: "nothing heard for " + idle.String()}
	case errors.As(err, &reset):
		return &CloseError{Code: CodeRestarted, Remote: true}
	case errors.As(err, &failure):
		return &CloseError{Code: CodeBroken, Remote: failure.Remote, Reason: err.Error()}
	case err == nil:
		return &CloseError{Code: CodeNone}
	}
	return &CloseError{Code: CodeBroken, Reason: err.Error()}
}

// dialError puts a failed attempt into our words.
func dialError(ctx context.Context, err error) error {
	var (
		failure *quic.TransportError
		late    *quic.HandshakeTimeoutError
		quiet   *quic.IdleTimeoutError
		app     *quic.ApplicationError
	)
	switch {
	case errors.As(err, &app):
		return refusedWith(closeError(err, 0))
	case errors.As(err, &failure) && failure.ErrorCode.IsCryptoError():
		return refusal(err, uint8(failure.ErrorCode))
	case errors.As(err, &failure) && failure.ErrorCode == quic.ConnectionRefused:
		return ErrBusy
	case errors.As(err, &late), errors.As(err, &quiet):
		return ErrUnreachable
	case errors.Is(err, quic.ErrTransportClosed):
		return ErrClosed
	case errors.Is(err, context.DeadlineExceeded):
		return errors.Join(ErrUnreachable, err)
	}
	return err
}

// refusedWith tells what an acceptor's close code means to the dialer.
func refusedWith(e *CloseError) error {
	switch e.Code {
	case CodeSelf:
		return ErrSelf
	case CodeBusy:
		return errors.Join(ErrBusy, e)
	case CodeRevoked:
		return errors.Join(ErrRefused, e)
	}
	return e
}
