package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anabranch-db/anabranch/transport"
)

const (
	// dialTimeout bounds one attempt.
	dialTimeout = 10 * time.Second
	// firstHedge is the least time that an attempt may go unanswered before
	// another one is begun beside it. QUIC repeats a first packet at pauses
	// that double, so that of a single attempt few packets are left to meet a
	// network that comes back; a fresh one finds it within a second.
	firstHedge = time.Second
	// maxAttempts bounds the attempts at a time with one address. Each then
	// has two seconds and more, which is a handshake over a satellite.
	maxAttempts = 3
)

// attempt is the outcome of one.
type attempt struct {
	number int
	conn   transport.Link
	err    error
}

// errLinked says that an attempt was given up, since whoever is at the address
// dialed us meanwhile.
var errLinked = fmt.Errorf("there is a link already: %w", transport.CodeDuplicate)

// reach dials an address until somebody answers, or dialTimeout has passed. A
// further attempt is begun after each hedge, and at once when kick says that
// the network has changed; the eldest makes room. The first answer counts,
// whatever it is.
//
// Once linked says that there is a link with who is there, none is begun, since
// that would take its place in the middle of what goes over it; and a second
// later there is no answer on its way any more, and the rest is given up.
func reach(ctx context.Context, network transport.Network, address string, hedge time.Duration, kick <-chan struct{}, linked func() bool) (transport.Link, error) {
	deadline := time.Now().Add(dialTimeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	outcomes := make(chan attempt)
	var running []context.CancelFunc // of the attempts, the eldest first; nil: it has ended
	begin := func() {
		if len(running) > 0 && (linked() || !time.Now().Before(deadline)) {
			return // a tick may come with the end
		}
		if len(running) >= maxAttempts {
			if end := running[len(running)-maxAttempts]; end != nil {
				end()
			}
		}
		own, end := context.WithCancel(ctx)
		number := len(running)
		running = append(running, end)
		go func() {
			defer end()
			conn, err := network.Dial(own, address)
			select {
			case outcomes <- attempt{number, conn, err}:
			case <-ctx.Done():
				if err == nil {
					_ = conn.Close(transport.CodeDuplicate, "another attempt was first")
				}
			}
		}()
	}
	begin()
	ticks, looks := time.NewTicker(hedge), time.NewTicker(firstHedge)
	defer ticks.Stop()
	defer looks.Stop()
	ended, was := 0, false
	last := fmt.Errorf("dial %s: %w", address, transport.ErrUnreachable)
	for {
		select {
		case a := <-outcomes:
			if a.err == nil || kindOf(a.err) != silent {
				return a.conn, a.err
			}
			running[a.number] = nil
			if !errors.Is(a.err, context.Canceled) { // else it made room
				last = a.err
			}
			if ended++; ended == len(running) {
				return nil, last
			}
		case <-ticks.C:
			begin()
		case <-kick:
			begin()
		case <-looks.C:
			is := linked()
			if is && was {
				return nil, errLinked
			}
			was = is
		case <-ctx.Done():
			return nil, last
		}
	}
}
