package replica

import (
	"errors"
	"time"

	"github.com/anabranch-db/anabranch/transport"
)

const (
	// firstRetry is the pause after a first failure to connect. It doubles
	// with each further one at first: a peer that restarts is back in well
	// under a second.
	firstRetry = 100 * time.Millisecond
	// lastRetry bounds the pause where nobody answers, which grows with the
	// outage, and so how long after the network came back a node takes to
	// notice where nothing tells it.
	lastRetry = 15 * time.Second
	// patient is the part of an outage for which nothing new is tried: half of
	// the tenth within which a node notices that it is over. The last packet of
	// an attempt is some seconds older than its end, and a handshake takes
	// time, too.
	patient = 20
	// faultRetry is the pause after a peer refused us, or broke the rules. It
	// doubles each time, since that is mended by people: up to
	// lastFaultRetry, within which a mended peer is met again.
	faultRetry     = time.Second
	lastFaultRetry = 10 * time.Minute
	// busyRetry is the pause after a peer had no room, where it did not say
	// how long. It doubles up to lastBusyRetry: a thousand handshakes at a
	// few milliseconds each are over by then.
	busyRetry     = time.Second
	lastBusyRetry = 30 * time.Second
	// openAfter is how many failures in a row open a breaker: by then some
	// seconds have passed, and it is no restart.
	openAfter = 5
	// steadyAfter is how long a link must have held for the next pause to
	// start over; before that the other end may be refusing us.
	steadyAfter = 5 * time.Second
)

// BreakerState is whether a peer is being dialed.
type BreakerState string

// The states of a circuit breaker.
const (
	// BreakerClosed is the ordinary one.
	BreakerClosed BreakerState = "closed"
	// BreakerOpen says that the peer failed again and again, and is left
	// alone until a time.
	BreakerOpen BreakerState = "open"
	// BreakerHalfOpen says that it is tried again, once, after that.
	BreakerHalfOpen BreakerState = "half-open"
)

// Breaker is the circuit breaker of a peer.
type Breaker struct {
	State BreakerState
	// Failures is how many attempts failed since the last link that held.
	Failures int
	// Until is when the next attempt is due; zero if none is waited for.
	Until time.Time
}

// breaker decides when a peer is dialed next: how long to wait depends on what
// failed, and for how long, which the breakers of libraries have no place for.
// It is not safe for concurrent use.
type breaker struct {
	failures int       // in a row
	faults   int       // of them, those of which the peer is the cause
	busy     int       // how often in a row it had no room, which is no failure
	since    time.Time // when it was last linked, or was first tried in vain
	until    time.Time // when it may be tried next
	trying   bool
}

// kind is what a failure tells.
type kind int

const (
	silent kind = iota // nobody answered, or the link was lost
	fault              // who answered refused us, or broke the rules
	busy               // who answered had no room
	benign             // nothing: we have another link
)

// faults are what a link or an attempt can end with that does not pass by
// itself.
var faults = []error{
	transport.ErrRefused, transport.ErrUntrusted, transport.ErrSelf, transport.ErrCluster,
	transport.CodeProtocol, transport.CodeVersion, transport.CodeCluster, transport.CodeForged,
	transport.CodeRefusals, transport.CodeRevoked, transport.CodeSelf, transport.CodeRemoved,
}

// kindOf tells what a failure means.
func kindOf(err error) kind {
	switch {
	case errors.Is(err, transport.CodeDuplicate):
		return benign
	case errors.Is(err, transport.ErrBusy), errors.Is(err, transport.CodeBusy):
		return busy
	}
	for _, f := range faults {
		if errors.Is(err, f) {
			return fault
		}
	}
	return silent
}

// wait returns how long to leave the peer alone yet.
func (b *breaker) wait(now time.Time) time.Duration { return max(0, b.until.Sub(now)) }

// try says that the peer is being tried.
func (b *breaker) try(now time.Time) {
	b.trying = true
	if b.since.IsZero() {
		b.since = now
	}
}

// fail takes in a failure. chance, of [0, 1), is half of the pause, so that
// nodes that lost a peer together do not all come back together.
func (b *breaker) fail(now time.Time, err error, chance float64) {
	b.trying = false
	if b.since.IsZero() {
		b.since = now
	}
	var pause time.Duration
	switch kindOf(err) {
	case benign: // but nobody dials in a circle
		b.until = now.Add(time.Duration((1 + chance) * float64(firstRetry)))
		return
	case busy:
		b.busy++
		pause = doubled(busyRetry, b.busy, lastBusyRetry)
		if told := transport.RetryAfter(err); told > 0 {
			pause = min(told, lastBusyRetry)
		}
		// From one half to three, since there is no room for all of them.
		b.until = now.Add(pause/2 + time.Duration(chance*float64(pause)))
		return
	case fault:
		b.failures++
		b.faults++
		b.busy = 0
		pause = doubled(faultRetry, b.faults, lastFaultRetry)
	case silent:
		b.failures++
		b.busy = 0
		pause = max(doubled(firstRetry, b.failures, time.Second), b.patience(now))
		pause = min(pause, lastRetry)
	}
	b.until = now.Add(pause/2 + time.Duration(chance*float64(pause/2)))
}

// doubled returns first, doubled for each time but the first, up to last.
func doubled(first time.Duration, times int, last time.Duration) time.Duration {
	for range times - 1 {
		if first >= last {
			break
		}
		first *= 2
	}
	return min(first, last)
}

// ended takes in the end of a link that held so long.
func (b *breaker) ended(now time.Time, err error, held time.Duration, chance float64) {
	switch k := kindOf(err); {
	case k != fault && held >= steadyAfter:
		*b = breaker{since: now}
		if k != benign {
			b.until = now.Add(firstRetry/2 + time.Duration(chance*float64(firstRetry/2)))
		}
	default:
		if b.failures == 0 {
			b.since = now
		}
		b.fail(now, err, chance)
	}
}

// moved says that this node's network has changed: what did not answer before
// may do so now. A fault stays one.
func (b *breaker) moved(now time.Time) {
	if b.faults == 0 {
		b.since, b.until, b.failures = now, now, 0
	}
}

// hedge is how long an attempt may go unanswered before another is begun
// beside it: longer and longer, as the pauses are.
func (b *breaker) hedge(now time.Time) time.Duration {
	return max(firstHedge, b.patience(now))
}

// patience is how long nothing new is tried where nobody answers.
func (b *breaker) patience(now time.Time) time.Duration { return now.Sub(b.since) / patient }

// status tells the breaker's state.
func (b *breaker) status(now time.Time) Breaker {
	s := Breaker{State: BreakerClosed, Failures: b.failures}
	if b.wait(now) > 0 {
		s.Until = b.until
	}
	switch {
	case b.failures < openAfter:
	case b.trying || s.Until.IsZero():
		s.State = BreakerHalfOpen
	default:
		s.State = BreakerOpen
	}
	return s
}
