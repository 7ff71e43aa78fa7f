package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// ends are two sides of something that carries bytes.
type ends struct {
	send    func(frame []byte) error
	receive func() error // one frame of the size that is sent
	back    func(frame []byte) error
	answer  func() error
}

// BenchmarkBulk sends frames one way, over a link and over a bare quic-go
// stream with the same parameters, in the same run: the ratio is what frames,
// interruptible calls and watching cost.
func BenchmarkBulk(b *testing.B) {
	for _, size := range []int{100, 4 << 10, 256 << 10, 2 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			compare(b, size, func(e ends, n int) error {
				frame, failed := make([]byte, size), make(chan error, 1)
				go func() {
					for range n {
						if err := e.send(frame); err != nil {
							failed <- err
							return
						}
					}
					failed <- nil
				}()
				for range n {
					if err := e.receive(); err != nil {
						return err
					}
				}
				return <-failed
			})
		})
	}
}

// BenchmarkPingPong sends a frame and waits for one back.
func BenchmarkPingPong(b *testing.B) {
	const size = 100
	compare(b, size, func(e ends, n int) error {
		frame, failed := make([]byte, size), make(chan error, 1)
		go func() {
			for range n {
				if err := e.receive(); err != nil {
					failed <- err
					return
				}
				if err := e.back(frame); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
		for range n {
			if err := e.send(frame); err != nil {
				return err
			}
			if err := e.answer(); err != nil {
				return err
			}
		}
		return <-failed
	})
}

// compare runs traffic over both in turn, a few times each, since the machine
// is shared, and reports the ratio of the sums.
func compare(b *testing.B, size int, traffic func(ends, int) error) {
	link, bare := linkEnds(b), bareEnds(b, size)
	var linkTime, bareTime time.Duration
	timed := func(e ends, n int) time.Duration {
		began := time.Now()
		if err := traffic(e, n); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	timed(bare, 1)
	timed(link, 1) // windows and caches are warm
	const rounds = 8
	for b.Loop() {
		n := max(1, min(2000, 64<<20/size)/rounds)
		for range rounds {
			bareTime += timed(bare, n)
			linkTime += timed(link, n)
		}
	}
	frames := float64(b.N) * rounds * float64(max(1, min(2000, 64<<20/size)/rounds))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(frames/linkTime.Seconds(), "frames/s")
	b.ReportMetric(frames*float64(size)/1e6/linkTime.Seconds(), "MB/s")
	b.ReportMetric(linkTime.Seconds()/frames*1e6, "µs/frame")
	b.ReportMetric(bareTime.Seconds()/linkTime.Seconds(), "of-quic-go")
}

func linkEnds(b *testing.B) ends {
	a, c := benchNode(b), benchNode(b)
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	from, err := a.Dial(ctx, c.Addr())
	if err != nil {
		b.Fatal(err)
	}
	to, err := c.Accept(ctx)
	if err != nil {
		b.Fatal(err)
	}
	receive := func(l Link) error {
		_, err := l.Receive(ctx)
		return err
	}
	return ends{
		send:    func(f []byte) error { return from.Send(ctx, f) },
		receive: func() error { return receive(to) },
		back:    func(f []byte) error { return to.Send(ctx, f) },
		answer:  func() error { return receive(from) },
	}
}

func benchNode(b *testing.B) *QUIC {
	a, err := NewAuthority(fixedKey(1))
	if err != nil {
		b.Fatal(err)
	}
	id, err := a.Enroll(nil, AllNamespaces())
	if err != nil {
		b.Fatal(err)
	}
	q, err := Listen(id, Options{Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { q.Close() })
	return q
}

// bareEnds is quic-go alone: its own socket, one stream, bytes.
func bareEnds(b *testing.B, size int) ends {
	q := benchNode(b) // for its certificate and parameters
	open := func() *quic.Transport {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		t := &quic.Transport{Conn: conn}
		b.Cleanup(func() {
			t.Close()
			conn.Close()
		})
		return t
	}
	server, client := open(), open()
	listener, err := server.Listen(q.dialTLS, q.config(1))
	if err != nil {
		b.Fatal(err)
	}
	there, err := client.Dial(b.Context(), listener.Addr(), q.dialTLS, q.config(-1))
	if err != nil {
		b.Fatal(err)
	}
	here, err := listener.Accept(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	from, err := there.OpenStream()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := from.Write([]byte("!")); err != nil {
		b.Fatal(err)
	}
	to, err := here.AcceptStream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, size)
	write := func(s *quic.Stream) func([]byte) error {
		return func(f []byte) error { _, err := s.Write(f); return err }
	}
	read := func(s *quic.Stream) func() error {
		return func() error { _, err := io.ReadFull(s, buf); return err }
	}
	return ends{send: write(from), receive: read(to), back: write(to), answer: read(from)}
}

// BenchmarkIdleLink reports what an idle link takes in memory, at one end, and
// what it costs on the wire to make one.
func BenchmarkIdleLink(b *testing.B) {
	const count = 100
	for b.Loop() {
		hub := benchNode(b)
		var dialers []*QUIC
		for range count {
			dialers = append(dialers, benchNode(b))
		}
		before := memory()
		var up, down uint64
		for _, d := range dialers {
			l, err := d.Dial(b.Context(), hub.Addr())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := hub.Accept(b.Context()); err != nil {
				b.Fatal(err)
			}
			up, down = up+l.Stats().BytesSent, down+l.Stats().BytesReceived
		}
		b.ReportMetric(float64(memory()-before)/count/2/1024, "KiB/end")
		b.ReportMetric(float64(up)/count, "B-up/link")
		b.ReportMetric(float64(down)/count, "B-down/link")
	}
	b.ReportMetric(0, "ns/op")
}

// memory is what the heap and the stacks hold.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
