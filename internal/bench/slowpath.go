package bench

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// slowPath passes UDP packets on to an address and back, each a while later,
// and counts the bytes in them.
type slowPath struct {
	near  *net.UDPConn // where those who dial send to
	to    *net.UDPAddr
	delay time.Duration
	bytes atomic.Int64

	mu   sync.Mutex
	back map[string]*net.UDPConn // by who sends: where the answers come
}

// datagram is a packet on its way.
type datagram struct {
	due  time.Time
	body []byte
	send func([]byte) (int, error)
}

func newSlowPath(l *Lab, to string, delay time.Duration) (*slowPath, error) {
	addr, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return nil, err
	}
	near, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	p := &slowPath{near: near, to: addr, delay: delay, back: map[string]*net.UDPConn{}}
	there := p.line()
	go p.forward(near, there, func(from *net.UDPAddr) func([]byte) (int, error) {
		c, err := p.answers(from)
		if err != nil {
			return func([]byte) (int, error) { return 0, err } // a lost packet
		}
		return c.Write
	})
	l.Cleanup(p.close)
	return p, nil
}

func (p *slowPath) addr() net.Addr { return p.near.LocalAddr() }

// line delivers what is sent to it, in order, each when it is due.
func (p *slowPath) line() chan<- datagram {
	line := make(chan datagram, 1<<12)
	go func() {
		for d := range line {
			time.Sleep(time.Until(d.due))
			_, _ = d.send(d.body) // a path promises nothing
		}
	}()
	return line
}

// forward reads packets until the socket is closed, and then ends the line.
func (p *slowPath) forward(from *net.UDPConn, line chan<- datagram, route func(from *net.UDPAddr) func([]byte) (int, error)) {
	defer close(line)
	buf := make([]byte, 1<<16)
	for {
		n, at, err := from.ReadFromUDP(buf)
		if err != nil {
			return
		}
		p.bytes.Add(int64(n))
		line <- datagram{time.Now().Add(p.delay), append([]byte(nil), buf[:n]...), route(at)}
	}
}

// answers returns the socket from which packets of a sender go on, and to which
// those for it come.
func (p *slowPath) answers(from *net.UDPAddr) (*net.UDPConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := from.String()
	if c := p.back[key]; c != nil {
		return c, nil
	}
	c, err := net.DialUDP("udp", nil, p.to)
	if err != nil {
		return nil, err
	}
	p.back[key] = c
	go p.forward(c, p.line(), func(*net.UDPAddr) func([]byte) (int, error) {
		return func(b []byte) (int, error) { return p.near.WriteToUDP(b, from) }
	})
	return c, nil
}

func (p *slowPath) close() error {
	err := p.near.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.back {
		err = errors.Join(err, c.Close())
	}
	return err
}
