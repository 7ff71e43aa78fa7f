package transport

import (
	"net"
	"testing"

	"golang.org/x/net/ipv4"
)

// From an address that is kept out no connection begins, until something is let
// through again; what is under way from there goes on.
func TestWhoIsKeptOutIsNotHeard(t *testing.T) {
	s, err := listenUDP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	from, err := net.Dial("udp", s.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	p, now := newClock()
	s.penalties.Store(p)
	heard := func(packet []byte) bool {
		t.Helper()
		if _, err := from.Write(packet); err != nil {
			t.Fatal(err)
		}
		m := []ipv4.Message{{Buffers: [][]byte{make([]byte, 1500)}}}
		if n, err := s.ReadBatch(m, 0); n != 1 || err != nil {
			t.Fatalf("%d packets, %v", n, err)
		}
		return m[0].N == len(packet)
	}
	first, later := []byte{0xc0, 0, 0, 0, 1, 8, 1, 2, 3}, []byte{0xc0, 0, 0, 0, 1, 4, 1, 2, 3}
	if !heard(first) {
		t.Error("nobody is kept out, and yet it is not heard")
	}
	p.accuse(from.LocalAddr(), *now)
	for p.knock(from.LocalAddr()) { // what is let through is used up
	}
	if !heard(first) {
		t.Error("the second packet of a greeting is not heard")
	}
	*now = now.Add(helloTime)
	if heard(first) || !heard(later) {
		t.Error("the first packet is heard, or a later one is not")
	}
	*now = now.Add(hostInterval)
	if !heard(first) {
		t.Error("it is not heard after a pause")
	}
}

func TestTheFirstPacketsOfAConnectionAreTold(t *testing.T) {
	for _, c := range []struct {
		packet []byte
		first  bool
	}{
		{nil, false},
		{[]byte{0xc0, 0, 0, 0, 1}, false},
		{[]byte{0xc0, 0, 0, 0, 1, 8}, true},
		{[]byte{0xc0, 0, 0, 0, 1, 4, 1, 2, 3, 4}, false},
		{[]byte{0x40, 0, 0, 0, 1, 8}, false},
	} {
		if got := begins(c.packet); got != c.first {
			t.Errorf("%x: %v", c.packet, got)
		}
	}
}
