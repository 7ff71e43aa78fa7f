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
// QUIC alone keeps trying until the idle timeout, at intervals that double up
// to a minute, and so finds a healed network late. Only the end that dialed
// gives up earlier, since it can dial again; the other end cannot, perhaps,
// and its repeats are how a peer that waits learns that the network is back.
//
// A sender whose peer has granted no more window sends nothing either, and
// cannot tell a partition from a peer that does not read; and a receiver in
// the middle of a frame need not have anything to send. They wait longer.
type stallWatch struct {
	mu             sync.Mutex
	on             bool   // a look is due
	again          bool   // something moved since the last one
	halfway        bool   // the receiver waits for more of a frame
	blocked        int    // looks in a row that heard nothing though something waited
	sent, received uint64 // packets, when the watch last looked
}

// watch starts to watch l, if it is not watched already.
func (l *quicLink) watch() {
	if !l.dialed {
		return
	}
	w := &l.stall
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on {
		w.again = true
		return
	}
	stats := l.conn.ConnectionStats()
	w.on, w.sent, w.received = true, stats.PacketsSent, stats.PacketsReceived
	time.AfterFunc(l.network.options.StallTimeout, l.look)
}

// look judges one interval: heard nothing though much was sent, close; things
// moved or are about to, go on; neither, stop watching.
func (l *quicLink) look() {
	if l.conn.Context().Err() != nil {
		return
	}
	w, stats := &l.stall, l.conn.ConnectionStats()
	w.mu.Lock()
	heard, unanswered := stats.PacketsReceived != w.received, stats.PacketsSent-w.sent
	w.sent, w.received = stats.PacketsSent, stats.PacketsReceived
	waits := len(l.sending) > 0 || w.halfway
	w.on, w.again = heard || w.again || waits, false
	w.blocked++
	if heard || !waits {
		w.blocked = 0
	}
	on, blocked := w.on, w.blocked
	w.mu.Unlock()
	switch {
	case !heard && unanswered >= stallPackets:
		_ = l.Close(CodeTimeout, "packets went unanswered for "+l.network.options.StallTimeout.String())
	case blocked >= blockedLooks:
		_ = l.Close(CodeTimeout, "nothing was heard for "+(blockedLooks*l.network.options.StallTimeout).String())
	case on:
		time.AfterFunc(l.network.options.StallTimeout, l.look)
	}
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
