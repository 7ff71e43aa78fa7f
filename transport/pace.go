package transport

import (
	"context"
	"sync"
	"time"
)

// pace is how many frames a member may say in a second, on all of its links. It
// is not a rule to break: who says more is read later, and its window fills.
type pace struct {
	mu   sync.Mutex
	owed float64 // frames that were read ahead of time
	at   time.Time
}

// read counts a frame, and returns how long to wait before the next is read.
func (p *pace) read(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owed = max(0, p.owed-now.Sub(p.at).Seconds()*framesPerSecond) + 1
	p.at = now
	over := p.owed - frameBurst
	if over < 0 {
		return 0
	}
	return paceWait + time.Duration(over*float64(time.Second)/framesPerSecond)
}

// rest waits for as long, or until the link or ctx ends.
func (l *quicLink) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-l.conn.Context().Done():
	}
}
