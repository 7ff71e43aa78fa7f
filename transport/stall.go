package transport

import (
	"sync"
	"time"
)

// stallWatch notices a partition while something is being sent or received,
// though the link's idle timeout is long: packets go out, repeats of them as
// well, and nothing comes back. It runs from then on until things are quiet,
// so that an idle link has no timer.
//
// After a second of that the link is doubted (doubt.go). QUIC alone keeps
// trying until the idle timeout, at intervals that double up to a minute, and
// so finds a healed network late. Only the end that dialed gives up earlier,
// since it can dial again; the other end cannot, perhaps, and its repeats are
// how a peer that waits learns that the network is back.
//
// A sender whose peer has granted no more window sends nothing either, and
// cannot tell a partition from a peer that does not read; and a receiver in
// the middle of a frame need not have anything to send. They wait longer.
type stallWatch struct {
	mu             sync.Mutex
	on             bool      // a look is due
	again          bool      // something moved since the last one
	halfway        bool      // the receiver waits for more of a frame
	sent, received uint64    // packets, when the peer was last heard
	heard          time.Time // when that was, as far as looks told
	free           time.Time // when nothing waited for the peer
}

// watch starts to watch l, if it is not watched already.
func (l *quicLink) watch() {
	w := &l.stall
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on {
		w.again = true
		return
	}
	stats := l.conn.ConnectionStats()
	w.on, w.sent, w.received = true, stats.PacketsSent, stats.PacketsReceived
	w.heard = time.Now()
	w.free = w.heard
	time.AfterFunc(min(suspectAfter, l.network.options.StallTimeout), l.look)
}

// finding is what a look found.
type finding struct {
	heard, waits, again bool
	unanswered          uint64        // packets
	silent, blocked     time.Duration // since the peer was heard, and nothing waited
}

// find looks at a link.
func (w *stallWatch) find(sent, received uint64, waits bool) (f finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	f.heard, f.again, f.waits = received != w.received, w.again, waits || w.halfway
	f.unanswered = sent - w.sent
	if f.heard {
		w.sent, w.received, w.heard = sent, received, now
	}
	if f.heard || !f.waits {
		w.free = now
	}
	w.again = false
	f.silent, f.blocked = now.Sub(w.heard), now.Sub(w.free)
	return f
}

// look judges how things are: heard nothing though much was sent, close;
// things moved or are about to, go on; neither, stop watching.
func (l *quicLink) look() {
	if l.conn.Context().Err() != nil {
		return
	}
	stats, limit := l.conn.ConnectionStats(), l.network.options.StallTimeout
	f := l.stall.find(stats.PacketsSent, stats.PacketsReceived, len(l.sending) > 0)
	switch {
	case f.heard:
		l.setDoubt(false)
	case !l.dialed:
	case f.silent >= limit && f.unanswered >= stallPackets:
		_ = l.Close(CodeTimeout, "packets went unanswered for "+limit.String())
		return
	case f.blocked >= blockedLooks*limit:
		_ = l.Close(CodeTimeout, "nothing was heard for "+(blockedLooks*limit).String())
		return
	}
	suspect := f.silent >= suspectAfter && f.unanswered >= suspectPackets
	if suspect && !l.Doubted() {
		l.setDoubt(true)
		if l.dialed {
			l.probe(0)
		}
	}
	l.lookAgain(f, f.heard || f.again || f.waits || suspect || f.silent < limit && f.unanswered > 0)
}

// lookAgain sets the next look, if there is to be one: soon while things move,
// and later each time while nothing is heard.
func (l *quicLink) lookAgain(f finding, on bool) {
	w, limit := &l.stall, l.network.options.StallTimeout
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on = on || w.again; !w.on {
		return
	}
	pause := min(max(f.silent, suspectAfter), limit)
	if f.silent < limit {
		pause = min(pause, limit-f.silent)
	}
	time.AfterFunc(pause, l.look)
}

// watchedReader reads a link's stream, and has what arrives watched: it has to
// be acknowledged, and the window to be opened again.
type watchedReader struct{ link *quicLink }

// Read implements io.Reader.
func (r watchedReader) Read(p []byte) (int, error) {
	r.link.stall.wait(r.link.frames.read > 0)
	n, err := r.link.stream.Read(p)
	if n > 0 {
		r.link.watch()
	}
	return n, err
}

// wait notes whether the receiver has a part of a frame.
func (w *stallWatch) wait(halfway bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halfway = halfway
}
