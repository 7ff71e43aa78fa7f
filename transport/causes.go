package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/quic-go/quic-go"
)

// closeError puts the end of a QUIC connection into our words.
func closeError(err error, idle time.Duration) *CloseError {
	if app, ok := errors.AsType[*quic.ApplicationError](err); ok {
		code, reason := Code(app.ErrorCode), app.ErrorMessage
		if code >= CodeRestarted { // those are not for the wire
			code = CodeProtocol
		}
		return &CloseError{Code: code, Remote: app.Remote, Reason: reason[:min(len(reason), maxReasonBytes)]}
	}
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		return &CloseError{Code: CodeTimeout, Reason: "nothing heard for " + idle.String()}
	}
	if _, ok := errors.AsType[*quic.StatelessResetError](err); ok {
		return &CloseError{Code: CodeRestarted, Remote: true}
	}
	if failure, ok := errors.AsType[*quic.TransportError](err); ok {
		return &CloseError{Code: CodeBroken, Remote: failure.Remote, Reason: err.Error()}
	}
	return &CloseError{Code: CodeBroken, Reason: err.Error()}
}

// dialError puts a failed attempt into our words.
func dialError(err error) error {
	if _, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return refusedWith(closeError(err, 0))
	}
	if failure, ok := errors.AsType[*quic.TransportError](err); ok {
		switch {
		case failure.ErrorCode.IsCryptoError():
			return refusal(err, tls.AlertError(failure.ErrorCode)) // its low byte, by RFC 9001, 4.8
		case failure.ErrorCode == quic.ConnectionRefused:
			return ErrBusy
		}
	}
	_, late := errors.AsType[*quic.HandshakeTimeoutError](err)
	_, quiet := errors.AsType[*quic.IdleTimeoutError](err)
	switch {
	case late || quiet:
		return ErrUnreachable
	case errors.Is(err, quic.ErrTransportClosed):
		return ErrClosed
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// refusedWith tells what an acceptor's close code means to the dialer.
func refusedWith(e *CloseError) error {
	switch e.Code {
	case CodeSelf:
		return ErrSelf
	case CodeBusy:
		return fmt.Errorf("%w: %w", ErrBusy, e)
	case CodeRevoked:
		return fmt.Errorf("%w: %w", ErrRefused, e)
	}
	return e
}
