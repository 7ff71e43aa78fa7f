//go:build linux

package netlab

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

var enabled = flag.Bool("netlab", false, "make hosts of network namespaces: it takes root, ip and nft, and a few seconds")

// newLab returns a lab with two hosts, or skips the test.
func newLab(t *testing.T) (l *Lab, a, b *Host) {
	t.Helper()
	if !*enabled {
		t.Skip("hosts of network namespaces are made with -netlab only, as root")
	}
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, h := range []**Host{&a, &b} {
		if *h, err = l.Host(fmt.Sprint("h", len(l.hosts))); err != nil {
			t.Fatal(err)
		}
	}
	return l, a, b
}

func (l *Lab) mustPath(t *testing.T, name string, delay time.Duration) *Path {
	t.Helper()
	p, err := l.Path(name, delay, delay/10)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// echo answers on a host with what it hears, until the test ends.
func echo(t *testing.T, h *Host) *net.UDPConn {
	t.Helper()
	conn := listen(t, h)
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(buf[:n], from) // lost is lost
		}
	}()
	return conn
}

func listen(t *testing.T, h *Host) (conn *net.UDPConn) {
	t.Helper()
	err := h.Within(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ping sends some packets to an echo at a host, and returns how many came back,
// how long the last took, and from where they were sent.
func ping(t *testing.T, from, to *Host, at *net.UDPConn, count int) (answers int, took time.Duration) {
	t.Helper()
	conn := listen(t, from)
	port := at.LocalAddr().(*net.UDPAddr).Port
	buf := make([]byte, 100)
	start := time.Now()
	for range count {
		_, _ = conn.WriteToUDPAddrPort([]byte("ping"), netip.AddrPortFrom(to.Address(), uint16(port)))
	}
	conn.SetReadDeadline(time.Now().Add(time.Second))
	for answers < count {
		_, _, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		answers++
		took = time.Since(start)
	}
	return answers, took
}

func TestPacketsTakeTheirTime(t *testing.T) {
	l, a, b := newLab(t)
	p := l.mustPath(t, "wire", 20*time.Millisecond)
	n, took := ping(t, a, b, echo(t, b), 100)
	if n != 100 || took < 40*time.Millisecond {
		t.Errorf("%d of 100 came back in %v", n, took)
	}
	if packets, bytes := p.Carried(); packets < 200 || bytes < 200*(20+8+4) {
		t.Errorf("%d packets of %d bytes were carried", packets, bytes)
	}
}

func TestPacketsGetLost(t *testing.T) {
	l, a, b := newLab(t)
	l.mustPath(t, "wire", time.Millisecond)
	at := echo(t, b)
	if err := b.Lose(50); err != nil {
		t.Fatal(err)
	}
	if n, _ := ping(t, a, b, at, 200); n == 0 || n == 200 {
		t.Errorf("%d of 200 came back", n)
	}
	if err := b.Part(true); err != nil {
		t.Fatal(err)
	}
	if n, _ := ping(t, a, b, at, 50); n > 0 {
		t.Errorf("%d came back from a host that is parted", n)
	}
	if err := errors.Join(b.Part(false), b.Lose(0)); err != nil {
		t.Fatal(err)
	}
	if n, _ := ping(t, a, b, at, 50); n != 50 {
		t.Errorf("%d of 50 came back, once healed", n)
	}
}

func TestAnotherPathIsTaken(t *testing.T) {
	l, a, b := newLab(t)
	first, second := l.mustPath(t, "first", time.Millisecond), l.mustPath(t, "second", time.Millisecond)
	at := echo(t, b)
	for i, change := range []func() error{
		func() error { return nil },
		func() error { return first.Down(b) },
		func() error { return first.Up(b) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		before, _ := second.Carried()
		n, _ := ping(t, a, b, at, 50)
		after, _ := second.Carried()
		if n != 50 || (after-before >= 100) != (i == 1) {
			t.Errorf("change %d: %d of 50 came back, %d packets went by the second path", i, n, after-before)
		}
	}
}

func TestALabLeavesNothing(t *testing.T) {
	l, a, _ := newLab(t)
	l.mustPath(t, "wire", time.Millisecond)
	name := a.namespace
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := output("ip", "netns", "list")
	if err != nil || strings.Contains(out, name) {
		t.Errorf("left: %s (%v)", out, err)
	}
	// What a process left that was killed.
	dead := namePrefix + "4194305-x" // beyond the greatest process id
	if err := command("ip", "netns", "add", dead); err != nil {
		t.Fatal(err)
	}
	if _, err := New(); err != nil {
		t.Fatal(err)
	}
	if out, err := output("ip", "netns", "list"); err != nil || strings.Contains(out, dead) {
		t.Errorf("left: %s (%v)", out, err)
	}
}
