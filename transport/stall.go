package transport

import (
	"sync"
	"time"
)

// stallWatch notices a partition while something is being sent, though the
// link's idle timeout is long: packets go out, repeats of them as well, and
// nothing comes back. It runs from a Send on until things are quiet, so that
// an idle link has no timer.
//
// QUIC alone would keep trying until the idle timeout, at intervals that
// double up to a minute, and so would find a healed network late.
type stallWatch struct {
	mu             sync.Mutex
	on             bool   // a look is due
	again          bool   // something was sent since the last one
	sent, received uint64 // packets, when the watch last looked
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
	time.AfterFunc(l.network.options.StallTimeout, l.look)
}

// look judges one interval: heard nothing though much was sent, close; heard
// or sent something, go on; neither, stop watching.
func (l *quicLink) look() {
	if l.conn.Context().Err() != nil {
		return
	}
	w, stats := &l.stall, l.conn.ConnectionStats()
	w.mu.Lock()
	heard, unanswered := stats.PacketsReceived != w.received, stats.PacketsSent-w.sent
	w.sent, w.received = stats.PacketsSent, stats.PacketsReceived
	w.on, w.again = heard || w.again, false
	on := w.on
	w.mu.Unlock()
	switch {
	case !heard && unanswered >= stallPackets:
		_ = l.Close(CodeTimeout, "packets went unanswered for "+l.network.options.StallTimeout.String())
	case on:
		time.AfterFunc(l.network.options.StallTimeout, l.look)
	}
}
