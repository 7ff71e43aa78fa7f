package simnet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/transport"
)

// Options set up a Net. The zero value works: no delay, nothing lost.
type Options struct {
	// Seed decides everything that is left to chance.
	Seed uint64
	// Latency is how long frames and packets take, one way.
	Latency time.Duration
	// Jitter is the most that chance adds to it, per frame or packet. Frames
	// of one link stay in order; packets do not.
	Jitter time.Duration
	// Loss is the share of packets that get lost, 0 to 1. Links lose nothing
	// while they are up.
	Loss float64
	// BreakRate is the share of frames that break their link, 0 to 1: such a
	// frame is lost with all that is in flight.
	BreakRate float64
	// WindowBytes bounds what a link has in flight and unread, each way.
	// Default 1 MiB.
	WindowBytes int
}

const (
	// defaultWindowBytes is what transport.QUIC has.
	defaultWindowBytes = 1 << 20
	// dialTimeout is how long a dialer waits for an answer: what
	// transport.QUIC takes to give up.
	dialTimeout = 10 * time.Second
	// maxAccepted is how many links may wait for Accept; more are refused.
	maxAccepted = 64
	// maxPackets is how many packets may wait to be read; more are dropped,
	// as in a socket's buffer.
	maxPackets = 1024
)

// Net is a network in memory. All methods are safe for concurrent use.
type Net struct {
	options  Options
	schedule *schedule

	mu        sync.Mutex
	endpoints map[string]*Endpoint
	instances uint64 // endpoints that ever were
	sockets   map[string]*socket
	cuts      map[pair]bool
	counts    map[path]uint64 // frames and packets sent
	began     time.Time
	instants  map[path]instant
	pipes     []*pipe // that are up, in order of their making
}

// path is a direction between two addresses, and pair both of them.
type path struct{ from, to string }
type pair struct{ a, b string }

// instant is the last one in which packets were sent on a path, in nanoseconds
// since the network began, and how many.
type instant struct{ at, packets uint64 }

func pairOf(a, b string) pair { return pair{min(a, b), max(a, b)} }

func (p path) compare(o path) int {
	return cmp.Or(cmp.Compare(p.from, o.from), cmp.Compare(p.to, o.to))
}

// New makes a network. The caller closes it.
func New(o Options) *Net {
	if o.WindowBytes == 0 {
		o.WindowBytes = defaultWindowBytes
	}
	return &Net{
		options: o, schedule: newSchedule(),
		endpoints: map[string]*Endpoint{}, sockets: map[string]*socket{},
		cuts: map[pair]bool{}, counts: map[path]uint64{},
		began: time.Now(), instants: map[path]instant{},
	}
}

// Listen returns a transport.Network at addr, any text, for a node with that
// credential. Nothing is verified: whoever listens is who it says.
func (n *Net) Listen(self transport.Credential, addr string) (*Endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[addr] != nil {
		return nil, fmt.Errorf("simnet: address %q is in use", addr)
	}
	e := &Endpoint{
		net: n, self: self, addr: addr,
		accepted: make(chan *link, maxAccepted), closed: make(chan struct{}),
	}
	n.instances++
	binary.BigEndian.PutUint64(e.instance[:], n.instances)
	n.endpoints[addr] = e
	return e, nil
}

// ListenPacket returns a packet connection at addr, an IP address and port,
// such as "10.0.0.1:1". Its addresses are *net.UDPAddr.
func (n *Net) ListenPacket(addr string) (net.PacketConn, error) {
	at, err := net.ResolveUDPAddr("udp", addr)
	if err != nil || at.IP == nil || at.Port == 0 {
		return nil, fmt.Errorf("simnet: %q is no IP address and port", addr)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[at.String()] != nil {
		return nil, fmt.Errorf("simnet: address %q is in use", addr)
	}
	s := newSocket(n, at)
	n.sockets[at.String()] = s
	return s, nil
}

// Rebind gives the packet connection at one address another one, as a device's
// does that changes networks or whose NAT forgot it. What is on its way to the
// old one gets lost.
func (n *Net) Rebind(from, to string) error {
	at, err := net.ResolveUDPAddr("udp", to)
	if err != nil || at.IP == nil || at.Port == 0 {
		return fmt.Errorf("simnet: %q is no IP address and port", to)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.sockets[from]
	if s == nil || n.sockets[at.String()] != nil {
		return fmt.Errorf("simnet: rebind %s to %s: nobody is there, or somebody is", from, to)
	}
	delete(n.sockets, from)
	s.addr = at
	n.sockets[at.String()] = s
	return nil
}

// Cut parts two addresses: links between them end with CodeTimeout at both
// ends, what is in flight is lost, and nothing passes until they are healed.
func (n *Net) Cut(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[pairOf(a, b)] = true
	n.breakPipes(a, b)
}

// Heal lets two addresses reach each other again.
func (n *Net) Heal(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cuts, pairOf(a, b))
}

// HealAll ends every cut.
func (n *Net) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
}

// Partition cuts every two addresses that are in different groups, and heals
// those within one. Addresses in no group are left as they are.
func (n *Net) Partition(groups ...[]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, group := range groups {
		for _, a := range group {
			for _, b := range group {
				delete(n.cuts, pairOf(a, b))
			}
			for _, other := range groups[i+1:] {
				for _, b := range other {
					n.cuts[pairOf(a, b)] = true
					n.breakPipes(a, b)
				}
			}
		}
	}
}

// Break ends the links between two addresses, as Cut does, and lets them dial
// again at once.
func (n *Net) Break(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.breakPipes(a, b)
}

// Kill ends the endpoint at addr as a power cut would: its links end with
// CodeTimeout at both ends, and the address is free for who starts next.
func (n *Net) Kill(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.endpoints[addr]
	if e == nil {
		return
	}
	delete(n.endpoints, addr)
	close(e.closed)
	for _, p := range n.pipes {
		if p.dialer.endpoint == e || p.acceptor.endpoint == e {
			p.breakOff("killed")
		}
	}
	n.sweep()
}

// breakPipes ends the links between two addresses. n.mu is held.
func (n *Net) breakPipes(a, b string) {
	for _, p := range n.pipes {
		if pairOf(p.dialer.endpoint.addr, p.acceptor.endpoint.addr) == pairOf(a, b) {
			p.breakOff("cut")
		}
	}
	n.sweep()
}

// sweep forgets the links that have ended. n.mu is held.
func (n *Net) sweep() {
	up := n.pipes[:0]
	for _, p := range n.pipes {
		if p.dialer.end == nil || p.acceptor.end == nil {
			up = append(up, p)
		}
	}
	clear(n.pipes[len(up):])
	n.pipes = up
}

// sendFrame schedules run for when the next frame on a path arrives, not
// before the time after, and returns when that is. fate is its share of chance,
// for losses. n.mu is held, and again when run runs.
func (n *Net) sendFrame(p path, after time.Time, run func()) (at time.Time, fate float64) {
	return n.send(p, n.counts[p]+1, after, run)
}

// sendPacket is sendFrame for a packet, whose chance is of the instant in which
// it is sent: one packet more or less, such as a repetition that crosses an
// answer, changes nothing for those that are sent later.
func (n *Net) sendPacket(p path, run func()) (fate float64) {
	now := uint64(time.Since(n.began))
	last := n.instants[p]
	if last.at != now {
		last = instant{at: now}
	}
	last.packets++
	n.instants[p] = last
	_, fate = n.send(p, now<<8|last.packets&0xff, time.Time{}, run)
	return fate
}

// send schedules what has a throw of chance.
func (n *Net) send(p path, throw uint64, after time.Time, run func()) (at time.Time, fate float64) {
	n.counts[p]++
	number := n.counts[p]
	at = time.Now().Add(n.options.Latency)
	if n.options.Jitter > 0 {
		at = at.Add(time.Duration(chance(n.options.Seed, p, throw, "jitter") * float64(n.options.Jitter)))
	}
	if at.Before(after) {
		at = after
	}
	n.schedule.add(event{at: at, path: p, number: number, run: func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		run()
	}})
	return at, chance(n.options.Seed, p, throw, "loss")
}

// Close ends every link and every packet connection.
func (n *Net) Close() error {
	n.mu.Lock()
	for _, p := range n.pipes {
		p.breakOff("the network is closed")
	}
	for _, s := range n.sockets {
		s.shut()
	}
	for _, e := range n.endpoints {
		close(e.closed)
	}
	n.pipes = nil
	clear(n.sockets)
	clear(n.endpoints)
	n.mu.Unlock()
	n.schedule.stop()
	return nil
}
