package transport

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// interrupter ends calls that block on one direction of a stream when their
// context ends, by the stream's deadline. It stays registered with a context
// that calls come with again and again, since registering costs more than
// sending a small frame does.
type interrupter struct {
	// deadline sets the stream's deadline for that direction.
	deadline func(time.Time) error

	mu    sync.Mutex
	done  <-chan struct{} // of the context that it is registered with
	stop  func() bool     // ends the registration
	fired chan struct{}   // closed when the deadline was set for it
}

// run calls f, which blocks until the deadline at most. If ctx ends first, it
// returns ctx.Err(). Calls must not overlap.
func (i *interrupter) run(ctx context.Context, f func() error) error {
	i.register(ctx)
	err := f()
	if err != nil && isDeadline(err) {
		<-ctx.Done() // the deadline is set after that
		return ctx.Err()
	}
	return err
}

// register makes ctx the context whose end sets the deadline.
func (i *interrupter) register(ctx context.Context) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done == ctx.Done() {
		return
	}
	i.unregister()
	if i.done = ctx.Done(); i.done == nil {
		return
	}
	fired := make(chan struct{})
	i.fired, i.stop = fired, context.AfterFunc(ctx, func() {
		_ = i.deadline(time.Unix(1, 0)) // long ago
		close(fired)
	})
}

// unregister ends the registration, and what it did to the stream. i.mu is
// held.
func (i *interrupter) unregister() {
	if i.stop != nil && !i.stop() {
		<-i.fired
		_ = i.deadline(time.Time{})
	}
	i.done, i.stop = nil, nil
}

// release ends the registration, so that a context that lives on keeps
// nothing of a link that has ended.
func (i *interrupter) release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.unregister()
}

// readWithin runs f, which reads from a stream, until ctx ends.
func readWithin(ctx context.Context, s *quic.Stream, f func() error) error {
	i := interrupter{deadline: s.SetReadDeadline}
	defer i.release()
	return i.run(ctx, f)
}

// isDeadline reports whether err is a stream's deadline and not the end of
// the connection.
func isDeadline(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() && !errors.Is(err, net.ErrClosed)
}
