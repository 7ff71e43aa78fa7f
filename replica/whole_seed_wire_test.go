package replica

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// packetLog sees all packets of a run, and all else that says what happened.
// What happens at one instant has no order: it is put into one.
type packetLog struct {
	mu      sync.Mutex
	tell    func(string) // nil: nobody is told
	began   time.Time
	now     time.Duration // since then
	lines   []string      // of now
	hash    hash.Hash
	packets int
	lost    int    // of them, to a rate of loss
	final   []byte // a hash of all that counts, in the end
}

func newPacketLog(tell func(string)) *packetLog { return &packetLog{tell: tell, hash: sha256.New()} }

// note takes note of something that happens now.
func (w *packetLog) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(format, args...)
}

// add is note, with the mutex held.
func (w *packetLog) add(format string, args ...any) {
	if now := time.Since(w.began); now != w.now {
		w.flush()
		w.now = now
	}
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *packetLog) flush() {
	slices.Sort(w.lines)
	for _, line := range w.lines {
		fmt.Fprintln(w.hash, w.now, line)
		if w.tell != nil {
			w.tell(fmt.Sprint(w.now, " ", line))
		}
	}
	w.lines = w.lines[:0]
}

// end takes note that nothing more counts: in which order nodes close is no
// part of a run.
func (w *packetLog) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	w.hash, w.final, w.tell = sha256.New(), w.hash.Sum(nil)[:8], nil
}

// port is a node's packet connection.
type port struct {
	net.PacketConn
	wire *packetLog
	seed uint64
	loss float64 // of what it sends, and all once the power is off; guarded by the wire's mutex
}

// WriteTo implements net.PacketConn.
func (p *port) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.loses(b, to) {
		return len(b), nil
	}
	return p.PacketConn.WriteTo(b, to)
}

func (p *port) loses(b []byte, to net.Addr) bool {
	from := p.LocalAddr()
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	p.wire.packets++
	p.wire.add("%s to %s: %d bytes, %08x", from, to, len(b), crc32.ChecksumIEEE(b))
	lost := p.loss > 0 && p.chance(to) < p.loss
	if lost {
		p.wire.lost++
	}
	return lost
}

// chance is of the instant and of whom a packet is for: what is sent to one in
// one instant arrives or gets lost together.
func (p *port) chance(to net.Addr) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, p.LocalAddr(), to)
	return rand.New(rand.NewPCG(p.seed^h.Sum64(), uint64(p.wire.now))).Float64()
}

// setLoss sets the share of packets that get lost.
func (p *port) setLoss(share float64) {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	p.loss = share
}
