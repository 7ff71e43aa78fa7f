//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxQueued is how many packets wait on their way to one host; more are
// dropped, as a router does. At 1,400 bytes and 40 ms it passes 1 Gbit/s.
const maxQueued = 4096

// maxPacketBytes is more than any packet of a TUN device has.
const maxPacketBytes = 64 << 10

// Path is a network that hosts are attached to.
type Path struct {
	lab     *Lab
	name    string
	number  int
	ports   []*port
	byAddr  map[netip.Addr]*port
	readers sync.WaitGroup
	writers sync.WaitGroup

	delay, jitter atomic.Int64 // in nanoseconds
	packets       atomic.Uint64
	bytes         atomic.Uint64
}

// port is where a host is attached to a path.
type port struct {
	host  *Host
	tun   *os.File
	queue chan packet // to the host
	up    bool
}

type packet struct {
	at   time.Time // when it arrives
	data []byte
}

// Path adds a network, and attaches all hosts to it by a device of that name.
// Packets take the delay one way, and up to the jitter more; they stay in order.
func (l *Lab) Path(name string, delay, jitter time.Duration) (*Path, error) {
	p := &Path{lab: l, name: name, number: len(l.paths) + 1, byAddr: map[netip.Addr]*port{}}
	p.SetDelay(delay, jitter)
	l.paths = append(l.paths, p)
	for _, h := range l.hosts {
		pt := &port{host: h, queue: make(chan packet, maxQueued)}
		err := h.Within(func() (err error) {
			pt.tun, err = openTUN(name)
			return err
		})
		if err != nil {
			return nil, err
		}
		p.ports = append(p.ports, pt)
		p.byAddr[h.Address()], p.byAddr[address(p.number, h.number)] = pt, pt
		if err := h.run(fmt.Sprintf("ip address add %s/24 dev %s", address(p.number, h.number), name)); err != nil {
			return nil, err
		}
	}
	for _, pt := range p.ports {
		if err := p.Up(pt.host); err != nil {
			return nil, err
		}
		p.readers.Go(func() { p.read(pt) })
		p.writers.Go(func() { p.write(pt) })
	}
	return p, nil
}

// SetDelay changes how long packets take that are sent from now on.
func (p *Path) SetDelay(delay, jitter time.Duration) {
	p.delay.Store(int64(delay))
	p.jitter.Store(int64(jitter))
}

// Carried returns how many packets, and bytes of them with their IP headers,
// went over the path so far, those that the hosts then lost among them.
func (p *Path) Carried() (packets, bytes uint64) { return p.packets.Load(), p.bytes.Load() }

// Up lets the host use the path again, and others reach it there.
func (p *Path) Up(h *Host) error {
	pt := p.portOf(h)
	if err := h.run("ip link set dev " + p.name + " up"); err != nil {
		return err
	}
	pt.up = true
	for _, o := range p.ports {
		if o == pt || !o.up {
			continue
		}
		if err := errors.Join(p.route("add", pt, o), p.route("add", o, pt)); err != nil {
			return err
		}
	}
	return nil
}

// Down takes the host off the path: its device goes down, and others take the
// next path to it, where there is one.
func (p *Path) Down(h *Host) error {
	pt := p.portOf(h)
	pt.up = false
	for _, o := range p.ports {
		if o == pt || !o.up {
			continue
		}
		if err := p.route("del", o, pt); err != nil {
			return err
		}
	}
	return h.run("ip link set dev " + p.name + " down") // and its routes go
}

// route changes how one host reaches another by this path.
func (p *Path) route(verb string, from, to *port) error {
	return from.host.run(fmt.Sprintf("ip route %s %s/32 dev %s metric %d", verb, to.host.Address(), p.name, p.number))
}

func (p *Path) portOf(h *Host) *port { return p.ports[h.number-1] }

// read takes what a host sends, until its device is closed.
func (p *Path) read(from *port) {
	buf := make([]byte, maxPacketBytes)
	var last [256]time.Time // when the last packet to a host arrives
	for {
		n, err := from.tun.Read(buf)
		if err != nil {
			return
		}
		to := p.byAddr[destination(buf[:n])]
		if to == nil {
			continue
		}
		at := time.Now().Add(time.Duration(p.delay.Load()))
		if j := p.jitter.Load(); j > 0 {
			at = at.Add(time.Duration(rand.Int64N(j)))
		}
		if l := &last[to.host.number]; at.Before(*l) {
			at = *l
		} else {
			*l = at
		}
		select {
		case to.queue <- packet{at, append([]byte(nil), buf[:n]...)}:
			p.packets.Add(1)
			p.bytes.Add(uint64(n))
		default:
		}
	}
}

// write hands a host what arrives, until its queue is closed. A packet for a
// device that is down is lost.
func (p *Path) write(to *port) {
	for in := range to.queue {
		time.Sleep(time.Until(in.at))
		_, _ = to.tun.Write(in.data)
	}
}

// destination returns an IPv4 packet's, or no address.
func destination(b []byte) netip.Addr {
	if len(b) < 20 || b[0]>>4 != 4 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(b[16:20]))
}

func (p *Path) close() error {
	var errs []error
	for _, pt := range p.ports {
		if pt.tun != nil {
			errs = append(errs, pt.tun.Close())
		}
	}
	p.readers.Wait()
	for _, pt := range p.ports {
		close(pt.queue)
	}
	p.writers.Wait()
	return errors.Join(errs...)
}
