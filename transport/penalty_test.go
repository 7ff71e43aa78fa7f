package transport

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// newClock returns penalties that go by a clock of the test's.
func newClock() (*penalties, *time.Time) {
	p, now := newPenalties(), time.Unix(1_000_000, 0)
	p.now = func() time.Time { return now }
	return p, &now
}

func hostAt(n byte) net.Addr { return &net.UDPAddr{IP: net.IPv4(10, 0, 0, n), Port: 1} }

// Who breaks a rule gets no link for a time that doubles, and is told which
// code that is for; after a long while without it begins anew.
func TestAPenaltyDoublesAndIsForgotten(t *testing.T) {
	p, now := newClock()
	node := crdt.NodeID{1}
	want := firstPenalty
	for range 14 {
		if err := p.enter(node, hostAt(1)); err != nil {
			t.Fatal(err)
		}
		p.broke(node, CodeForged)
		*now = now.Add(want - time.Millisecond)
		code, reason, kept := keptCode(p.enter(node, hostAt(1)))
		if !kept || code != CodeForged || reason != "kept out for 1ms after a violation" {
			t.Fatalf("after %v: %v, %q", want, code, reason)
		}
		*now = now.Add(time.Millisecond)
		want = min(2*want, lastPenalty)
	}
	*now = now.Add(2*lastPenalty + hostMemory)
	p.broke(node, CodeProtocol)
	*now = now.Add(firstPenalty)
	if err := p.enter(node, hostAt(1)); err != nil {
		t.Errorf("what is long past is counted: %v", err)
	}
	for _, code := range []Code{CodeNone, CodeGoingAway, CodeDuplicate, CodeTimeout, CodeVersion, CodeBusy, CodeInternal, CodeRefusals} {
		p.broke(crdt.NodeID{2}, code)
	}
	if err := p.enter(crdt.NodeID{2}, hostAt(2)); err != nil || !p.knock(hostAt(2)) || len(p.hosts) != 0 {
		t.Errorf("%v, where no rule was broken", err)
	}
}

// Who comes too often is asked to come back later, and where it came from,
// connections are few at their first packet; others are not.
func TestWhoComesTooOftenIsKeptOut(t *testing.T) {
	p, now := newClock()
	node := crdt.NodeID{1}
	for i := range memberBurst {
		if err := p.enter(node, hostAt(1)); err != nil {
			t.Fatalf("link %d: %v", i+1, err)
		}
	}
	err := p.enter(node, hostAt(1))
	if code, reason, kept := keptCode(err); !kept || code != CodeBusy || reason != busyReason(memberInterval) || !errors.Is(err, ErrBusy) {
		t.Fatalf("%v, %q", code, reason)
	}
	if err := p.enter(crdt.NodeID{2}, hostAt(2)); err != nil {
		t.Errorf("another node: %v", err)
	}
	for i := range 2 * hostBurst { // it comes back as an honest one would
		if !p.knock(hostAt(1)) {
			t.Fatalf("connection %d from there is refused", i+1)
		}
	}
	for range refusalBurst {
		if p.enter(node, hostAt(1)) == nil {
			t.Fatal("it has a link")
		}
	}
	let := 0
	for range 100 {
		if p.knock(hostAt(1)) {
			let++
		}
		if !p.knock(hostAt(2)) {
			t.Error("another address is kept out")
		}
	}
	if let != hostBurst {
		t.Errorf("%d connections at once, want %d", let, hostBurst)
	}
	*now = now.Add(memberInterval)
	if err := p.enter(node, hostAt(1)); err != nil || !p.knock(hostAt(1)) {
		t.Errorf("a second later: %v", err)
	}
	*now = now.Add(hostMemory + 1)
	for range 2 * hostBurst {
		if !p.knock(hostAt(1)) {
			t.Fatal("an address is remembered for ever")
		}
	}
}

func TestPenaltiesAreBounded(t *testing.T) {
	p, now := newClock()
	for i := range 3 * maxPenalties {
		node := crdt.NodeID{byte(i), byte(i >> 8)}
		from := &net.UDPAddr{IP: net.IPv4(10, 1, byte(i>>8), byte(i)), Port: 1}
		if err := p.enter(node, from); err != nil {
			t.Fatal(err)
		}
		p.accuse(from, *now)
		*now = now.Add(time.Second)
	}
	if len(p.hosts) > maxPenalties || len(p.members) > maxPenalties {
		t.Errorf("%d addresses and %d members are remembered", len(p.hosts), len(p.members))
	}
}

// A member is read at its pace, on all of its links together, and as a rule in
// runs rather than frame by frame.
func TestAPaceIsKept(t *testing.T) {
	p, now := newClock()
	a, b := p.pace(crdt.NodeID{1}), p.pace(crdt.NodeID{1})
	began, waits := *now, 0
	const frames = frameBurst + 10*framesPerSecond
	for i := range frames {
		of := a
		if i%2 == 0 {
			of = b
		}
		if wait := of.read(*now); wait > 0 {
			*now = now.Add(wait)
			waits++
		}
	}
	if took := now.Sub(began); took < 9900*time.Millisecond || took > 10100*time.Millisecond {
		t.Errorf("%d frames took %v, want 10 s", frames, took)
	}
	if waits > 2100 {
		t.Errorf("it was waited for %d times", waits)
	}
	if wait := p.pace(crdt.NodeID{2}).read(*now); wait != 0 {
		t.Errorf("another member waits %v", wait)
	}
}
