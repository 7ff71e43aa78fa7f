package transport

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// doubt is what a link knows of whether its peer still answers. It begins when
// packets go unanswered (stall.go), or the network under the link has changed,
// and ends with the next packet that comes. While it lasts the link is asked
// after: QUIC by itself repeats what was lost at intervals that double, and so
// finds out late that a path works again, or that another one does.
//
// What asks is a path probe (RFC 9000, 8.2): it goes out at once, on whichever
// path packets take now. A peer that sees it come from another address than
// before answers it as such, and the link migrates (RFC 9000, 9): what was on
// its way is sent again, and the path's round trip and rate are learned anew.
// A peer to which nothing has changed acknowledges it, which is as good. Only
// the end that dialed can ask. No second socket is needed for that, since ours
// is bound to no address of its own, unless the operator said so.
type doubt struct {
	mu      sync.Mutex
	on      bool
	gone    bool               // the address that the peer dialed is not this machine's any more
	cancel  context.CancelFunc // of the last probing
	probing chan struct{}      // closed at its end; nil: there was none
	path    *quic.Path         // to probe; nil: none yet
	current *quic.Path         // that the link has migrated to; nil: none yet
}

const (
	// doubtAfter is how long the first probe after a change of the network may
	// go unanswered: longer than most round trips, and short enough that a new
	// link is up within a second where the old one is lost.
	doubtAfter = 500 * time.Millisecond
	// firstProbe and lastProbe are the pauses between probes: the first, which
	// doubles, and the longest, so that a path is found within a second of
	// its being there. Either is longer where the round trip is.
	firstProbe = 200 * time.Millisecond
	lastProbe  = 800 * time.Millisecond
	// probeFor bounds how long is probed after one occasion. What happens
	// later is an occasion of its own, or the end of the link.
	probeFor = 30 * time.Second
)

// Doubtful is a Link that can tell whether its peer still answers.
type Doubtful interface {
	// Doubted reports whether packets to the peer go unanswered, so that it
	// may be worth to dial it again. Options.Doubts tells when it changes.
	Doubted() bool
}

var _ Doubtful = (*quicLink)(nil)

// Doubted implements Doubtful.
func (l *quicLink) Doubted() bool {
	l.doubt.mu.Lock()
	defer l.doubt.mu.Unlock()
	return l.doubt.on
}

func (l *quicLink) setDoubt(on bool) {
	l.doubt.mu.Lock()
	changed := l.doubt.on != on
	l.doubt.on = on
	l.doubt.mu.Unlock()
	if changed {
		l.network.options.Doubts()
	}
}

// setLocal notes whether this machine has the address that the peer dialed.
// What is doubted for another reason stays so: nothing was heard.
func (l *quicLink) setLocal(local bool) {
	l.doubt.mu.Lock()
	was := l.doubt.gone
	l.doubt.gone = !local
	l.doubt.mu.Unlock()
	if was == local {
		l.setDoubt(!local)
	}
}

// NetworkChanged says that the network of this machine has changed, so that
// packets may take another path, or that there may be a path again. Links that
// this node dialed are asked after at once, and move to the new path if it
// works. It does not wait for that.
func (q *QUIC) NetworkChanged() {
	here, _ := net.InterfaceAddrs() // none: nothing is known of them
	for _, l := range q.all() {
		if l.dialed {
			l.roam()
		} else if len(here) > 0 && q.real() {
			l.setLocal(l.local(here))
		}
	}
}

// real reports whether packets go over the machine's own network.
func (q *QUIC) real() bool {
	_, ok := q.transport.Conn.(*socket)
	return ok
}

// local reports whether the address that the peer dialed is still one of this
// machine's.
func (l *quicLink) local(here []net.Addr) bool {
	at, ok := l.conn.LocalAddr().(*net.UDPAddr)
	if !ok || at.IP.IsUnspecified() {
		return true // not known
	}
	return slices.ContainsFunc(here, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(at.IP)
	})
}

// routed reports whether there is a way to the peer at all. Nothing is sent.
func (l *quicLink) routed() bool {
	to, ok := l.far().(*net.UDPAddr)
	if !ok || !l.network.real() {
		return true
	}
	conn, err := net.DialUDP("udp", nil, to)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// roam asks after a link whose network has changed.
func (l *quicLink) roam() {
	if l.routed() { // else it could not be dialed again either
		l.probe(max(doubtAfter, 3*l.conn.ConnectionStats().SmoothedRTT))
	}
}

// probe asks after a link until the peer has answered, and doubts it after a
// while. What was asked before is over.
func (l *quicLink) probe(patience time.Duration) {
	ctx, cancel := context.WithTimeout(l.conn.Context(), probeFor)
	done := make(chan struct{})
	l.doubt.mu.Lock()
	before := l.doubt.probing
	if before != nil {
		l.doubt.cancel()
	}
	l.doubt.cancel, l.doubt.probing = cancel, done
	l.doubt.mu.Unlock()
	l.watch()
	go func() {
		defer close(done)
		defer cancel()
		if before != nil {
			<-before // a path is probed by one at a time
		}
		losing := time.AfterFunc(patience, func() {
			if ctx.Err() == nil {
				l.setDoubt(true)
			}
		})
		defer losing.Stop()
		if !l.ask(ctx) || ctx.Err() != nil {
			return
		}
		l.setDoubt(false)
	}()
}

// ask probes the path until the peer was heard, and has the link migrate if
// the peer sees it elsewhere than before. It reports whether that was.
func (l *quicLink) ask(ctx context.Context) bool {
	path, err := l.probed()
	if err != nil {
		return false // the link ended
	}
	before := l.conn.ConnectionStats()
	pause, last := max(firstProbe, 2*before.SmoothedRTT), max(lastProbe, 2*before.SmoothedRTT)
	for ctx.Err() == nil {
		round, cancel := context.WithTimeout(ctx, pause)
		err := path.Probe(round)
		cancel()
		if err == nil {
			l.migrate(path)
			return true
		}
		if l.conn.ConnectionStats().PacketsReceived != before.PacketsReceived {
			return true
		}
		pause = min(2*pause, last)
	}
	return false
}

// probed returns the path that is probed. It is always the same one until the
// link has moved to it: each takes a connection id, of which there are four,
// and new ones come from the peer.
func (l *quicLink) probed() (_ *quic.Path, err error) {
	d := &l.doubt
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path == nil {
		d.path, err = l.conn.AddPath(l.network.transport)
	}
	return d.path, err
}

// migrate moves the link to a path on which the peer answers.
func (l *quicLink) migrate(path *quic.Path) {
	d := &l.doubt
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path != path || path.Switch() != nil {
		return // moved already, or the link has ended
	}
	if d.current != nil {
		_ = d.current.Close() // it can fail only once the link has ended
	}
	d.current, d.path = path, nil
}
