package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// quicLink is a Link over one QUIC stream. It has no goroutine of its own.
type quicLink struct {
	network  *QUIC
	conn     *quic.Conn
	stream   *quic.Stream
	peer     Credential
	instance Instance
	short    bool // lengths of frames are those of anabranch/2
	dialed   bool
	dialedAt net.Addr // of one that this node dialed

	sending chan struct{} // holds a token while a frame is being written
	writing interrupter
	frames  *frameReader // of the one receiver
	reading interrupter
	stall   stallWatch
	doubt   doubt
	pace    *pace // of the peer, on all of its links

	framesSent, framesReceived atomic.Uint64
	frameBytes                 struct{ sent, received atomic.Uint64 } // with lengths
}

var _ Link = (*quicLink)(nil)

// Peer implements Link.
func (l *quicLink) Peer() Credential { return l.peer }

// Instance implements Link.
func (l *quicLink) Instance() Instance { return l.instance }

// Dialed implements Link.
func (l *quicLink) Dialed() bool { return l.dialed }

// RemoteAddr implements Link.
func (l *quicLink) RemoteAddr() string { return l.far().String() }

// far returns the peer's address. That of a link which this node dialed stays
// what it was; quic-go must not be asked for it while such a link migrates.
func (l *quicLink) far() net.Addr {
	if l.dialed {
		return l.dialedAt
	}
	return l.conn.RemoteAddr()
}

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
	l.watch()
	sent, err := l.write(ctx, frame)
	switch {
	case err == nil:
		l.framesSent.Add(1)
		l.frameBytes.sent.Add(l.framed(frame))
		return nil
	case err != ctx.Err():
		return l.ended(err)
	case sent > 0:
		_ = l.Close(CodeNone, "a frame was cut off")
	}
	return err
}

// write puts the frame on the stream and returns how much of it went out. The
// frame's length leaves together with its beginning.
func (l *quicLink) write(ctx context.Context, frame []byte) (sent int, err error) {
	buf := l.network.buffers.Get().(*[]byte)
	defer l.network.buffers.Put(buf)
	head := min(len(frame), writeBufferBytes-lengthBytes)
	*buf = append(l.appendLength((*buf)[:0], len(frame)), frame[:head]...)
	err = l.writing.run(ctx, func() (err error) {
		if sent, err = l.stream.Write(*buf); err != nil || head == len(frame) {
			return err
		}
		n, err := l.stream.Write(frame[head:])
		sent += n
		return err
	})
	return sent, err
}

func (l *quicLink) appendLength(dst []byte, n int) []byte {
	if l.short {
		return appendShortLength(dst, n)
	}
	return appendLength(dst, n)
}

// framed returns what a frame takes on the stream.
func (l *quicLink) framed(frame []byte) uint64 {
	var b [lengthBytes]byte
	return uint64(len(l.appendLength(b[:0], len(frame))) + len(frame))
}

// Receive implements Link.
func (l *quicLink) Receive(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var frame []byte
	err := l.reading.run(ctx, func() (err error) {
		frame, err = l.frames.next()
		return err
	})
	switch {
	case err == nil:
		l.framesReceived.Add(1)
		l.frameBytes.received.Add(l.framed(frame))
		if wait := l.pace.read(time.Now()); wait > 0 {
			l.rest(ctx, wait)
		}
		return frame, nil
	case err == ctx.Err():
		return nil, err
	}
	return nil, l.ended(err)
}

// Close implements Link.
func (l *quicLink) Close(code Code, reason string) error {
	if len(reason) > maxReasonBytes {
		reason = strings.ToValidUTF8(reason[:maxReasonBytes], "")
	}
	if l.conn.Context().Err() == nil { // it is this end that closes
		l.network.penalties().broke(l.peer.Node, code)
	}
	return l.conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
}

// Stats implements Link.
func (l *quicLink) Stats() LinkStats {
	s := l.conn.ConnectionStats()
	return LinkStats{
		FramesSent: l.framesSent.Load(), FramesReceived: l.framesReceived.Load(),
		FrameBytesSent: l.frameBytes.sent.Load(), FrameBytesReceived: l.frameBytes.received.Load(),
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
