package replica

import (
	"bytes"
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
	lost    int            // of them, to a rate of loss
	faults  map[string]int // how many took place, of those that chance brings about later than a plan
	final   []byte         // a hash of all that counts, in the end
}

func newPacketLog(tell func(string)) *packetLog {
	return &packetLog{tell: tell, hash: sha256.New(), faults: map[string]int{}}
}

// fault takes note of a fault that takes place.
func (w *packetLog) fault(what string, where any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[what]++
	w.add("   %s at %v", what, where)
}

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
	fate fates      // guarded by the wire's mutex, as what follows
	sent [][]byte   // the last packets
	to   []net.Addr // whom they were for
}

// fates are the shares of what a node sends that something happens to.
type fates struct {
	lost     float64 // all once the power is off
	doubled  float64
	late     float64 // by up to maxLate, so that others overtake it
	replayed float64 // a packet of before is sent once more
}

const (
	maxLate = 300 * time.Millisecond // some round trips
	maxSent = 64                     // packets to replay: of some seconds
)

// WriteTo implements net.PacketConn.
func (p *port) WriteTo(b []byte, to net.Addr) (int, error) {
	copies, late, old, oldTo := p.decide(b, to)
	for range copies {
		if late > 0 {
			b := bytes.Clone(b)
			time.AfterFunc(late, func() { _, _ = p.PacketConn.WriteTo(b, to) })
		} else if n, err := p.PacketConn.WriteTo(b, to); err != nil {
			return n, err
		}
	}
	if old != nil {
		return p.PacketConn.WriteTo(old, oldTo)
	}
	return len(b), nil
}

// decide decides what becomes of a packet, and which of before is sent after it.
func (p *port) decide(b []byte, to net.Addr) (copies int, late time.Duration, old []byte, oldTo net.Addr) {
	from := p.LocalAddr()
	w := p.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	w.packets++
	w.add("%s to %s: %d bytes, %08x", from, to, len(b), crc32.ChecksumIEEE(b))
	if p.fate == (fates{}) {
		return 1, 0, nil, nil
	}
	chance := p.chance(to)
	if p.fate.lost > 0 && chance.Float64() < p.fate.lost {
		w.lost++
		return 0, 0, nil, nil
	}
	if copies = 1; chance.Float64() < p.fate.doubled {
		w.faults["packet-duplicate"]++
		copies = 2
	}
	if chance.Float64() < p.fate.late {
		w.faults["packet-reorder"]++
		late = time.Duration(1 + chance.Int64N(int64(maxLate)))
	}
	if chance.Float64() < p.fate.replayed && len(p.sent) > 0 {
		w.faults["packet-replay"]++
		i := chance.IntN(len(p.sent))
		old, oldTo = p.sent[i], p.to[i]
	}
	if len(p.sent) == maxSent {
		p.sent, p.to = p.sent[1:], p.to[1:]
	}
	p.sent, p.to = append(p.sent, bytes.Clone(b)), append(p.to, to)
	return copies, late, old, oldTo
}

// chance is of the instant and of whom a packet is for: what is sent to one in
// one instant arrives or gets lost together.
func (p *port) chance(to net.Addr) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, p.LocalAddr(), to)
	return rand.New(rand.NewPCG(p.seed^h.Sum64(), uint64(p.wire.now)))
}

// setFate sets what happens to packets.
func (p *port) setFate(f fates) {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	p.fate = f
}
