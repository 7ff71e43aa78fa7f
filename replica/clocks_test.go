package replica

import (
	"math"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// handClock is a pair of clocks that a test moves: one that nobody sets, which
// stands still while the device sleeps, and the one on the wall.
type handClock struct{ run, wall int64 }

func (c *handClock) pass(d time.Duration) {
	c.run, c.wall = c.run+d.Milliseconds(), c.wall+d.Milliseconds()
}

// told is what clocks reports.
type toldClock struct {
	node crdt.NodeID
	ClockStatus
}

func newHandClocks() (*clocks, *handClock, *[]toldClock) {
	h := &handClock{run: 1000, wall: clockSet.UnixMilli() + 1}
	var all []toldClock
	c := newClocks(func() int64 { return h.run }, func() int64 { return h.wall }, time.Minute, func(n crdt.NodeID, s ClockStatus) {
		all = append(all, toldClock{n, s})
	})
	return c, h, &all
}

func peerNumber(node, instance byte) remote {
	return remote{crdt.NodeID{node}, transport.Instance{instance}}
}

// A device that slept does not think that all are off whom it knew before; who
// answers it since is believed.
func TestADeviceThatSleptTrustsFreshAnswersOnly(t *testing.T) {
	c, h, told := newHandClocks()
	for i := range byte(5) {
		c.note(peerNumber(i+1, 1), h.wall, 5)
	}
	h.wall += 2 * time.Hour.Milliseconds()
	if own := c.own(); own.Known || own.Agreed {
		t.Errorf("before anybody answered: %+v", own)
	}
	if s := c.peer(peerNumber(5, 1)); s.Known {
		t.Errorf("a peer of before: %+v", s)
	}
	c.note(peerNumber(1, 1), h.wall, 5)
	if own := c.own(); !own.Agreed || own.Skewed || len(*told) > 0 {
		t.Errorf("one agrees: %+v, and was told %+v", own, *told)
	}
	// And one that was set by as much learns that it is off when they answer.
	h.wall += 2 * time.Hour.Milliseconds()
	for i := range byte(3) {
		c.note(peerNumber(i+1, 1), h.wall-2*time.Hour.Milliseconds(), 5)
	}
	if own := c.own(); own.Agreed || !own.Skewed || own.Offset != 2*time.Hour {
		t.Errorf("three disagree: %+v", own)
	}
}

// Two copies of a device of which one's clock is off are told apart, and what
// is told of it is told once; so is a restart.
func TestTheClocksOfCopiesAreTwo(t *testing.T) {
	c, h, told := newHandClocks()
	good, bad := peerNumber(2, 1), peerNumber(2, 2)
	for range 3 {
		c.note(good, h.wall, 5)
		h.pass(time.Second)
		c.note(bad, h.wall+time.Hour.Milliseconds(), 5)
		h.pass(10 * time.Minute)
	}
	if len(*told) != 1 || !(*told)[0].Skewed {
		t.Errorf("told %+v", *told)
	}
	if a, b := c.peer(good), c.peer(bad); a.Skewed || !b.Skewed {
		t.Errorf("they are %+v and %+v", a, b)
	}
	for i := range byte(20) {
		h.pass(time.Hour)
		c.note(peerNumber(2, i+3), h.wall+time.Hour.Milliseconds(), 5)
	}
	if len(c.peers) != clockInstances || len(*told) != 1 {
		t.Errorf("%d instances are remembered, told %+v", len(c.peers), *told)
	}
}

// One device that restarts often has one vote.
func TestANodeHasOneVoteOnClocks(t *testing.T) {
	c, h, _ := newHandClocks()
	c.note(peerNumber(2, 1), h.wall, 5)
	for i := range byte(4) {
		c.note(peerNumber(3, i+1), h.wall+time.Hour.Milliseconds(), 5)
	}
	if own := c.own(); own.Skewed {
		t.Errorf("this node's clock: %+v", own)
	}
}

func TestAClockBeyondAllBoundsIsAhead(t *testing.T) {
	c, h, _ := newHandClocks()
	far := peerNumber(2, 1)
	c.note(far, 1<<48-1, 5)
	if s := c.peer(far); !s.Skewed || s.Offset < 100*365*24*time.Hour {
		t.Errorf("ahead: %+v", s)
	}
	c.note(peerNumber(3, 1), -math.MaxInt64/4, 5)
	c.note(peerNumber(4, 1), h.wall, 5)
	if own := c.own(); own.Skewed || !own.Agreed {
		t.Errorf("own: %+v", own)
	}
	for i := range 2 * clockPeers {
		c.note(remote{crdt.NodeID{9, byte(i), byte(i >> 8)}, transport.Instance{1}}, h.wall, 5)
	}
	if len(c.peers) != clockPeers {
		t.Errorf("%d clocks are remembered", len(c.peers))
	}
}
