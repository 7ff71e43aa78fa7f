package replica

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// DefaultMaxSkew is that of Options: devices that set their clocks over the
// network are within a second of each other, and a minute away is set by hand.
const DefaultMaxSkew = time.Minute

const (
	// clockDrift is the part by which two clocks that nobody sets may drift
	// apart: crystals keep 100 millionths each.
	clockDrift = 5000 // one in
	// clockPeers bounds the peers whose clocks are remembered.
	clockPeers = 1024
)

// clockSet is the time before which no clock is right: it began at 1970 when
// the device booted.
var clockSet = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ClockStatus is what is known of a clock.
type ClockStatus struct {
	// Known says that it was compared with another one.
	Known bool
	// Offset is how far it is ahead: a peer's of this node's, this node's of
	// that of the peers that agree on another time. It is right to Error.
	Offset, Error time.Duration
	// Skewed says that it is further off than Options.MaxSkew. Of this node's
	// clock: that more peers agree on another time than on this one.
	Skewed bool
	// Agreed, of this node's clock, says that some peer's agrees with it, and
	// that it is not skewed. While it is not, nothing that has expired is
	// collected here.
	Agreed bool
}

// clocks compares this node's wall clock with those of its peers. What it
// remembers of one it remembers on a clock that nobody sets, so that it is
// right when this node's wall clock is set. Safe for concurrent use.
type clocks struct {
	run     func() int64 // milliseconds, never set
	wall    func() int64
	skew    int64
	changed func(node crdt.NodeID, s ClockStatus) // zero: this node's own

	mu     sync.Mutex
	peers  map[crdt.NodeID]peerClock
	doubts bool // of our own, as last reported
}

// peerClock is what a peer's clock said.
type peerClock struct {
	ahead  int64 // of run
	err    int64
	at     int64 // on run
	skewed bool  // as last reported
}

func newClocks(run, wall func() int64, skew time.Duration, changed func(crdt.NodeID, ClockStatus)) *clocks {
	return &clocks{run: run, wall: wall, skew: skew.Milliseconds(), changed: changed, peers: map[crdt.NodeID]peerClock{}}
}

// note takes what a peer's clock says now, and reports what changes by it.
func (c *clocks) note(node crdt.NodeID, wall, err int64) {
	c.mu.Lock()
	now := c.run()
	p, known := c.peers[node]
	if !known && len(c.peers) >= clockPeers {
		c.forgetOldest()
	}
	p.ahead, p.err, p.at = wall-now, err, now
	s := c.statusOf(p)
	told := p.skewed != s.Skewed
	p.skewed = s.Skewed
	c.peers[node] = p
	own := c.judge()
	doubts := c.doubts != own.Skewed
	c.doubts = own.Skewed
	c.mu.Unlock()
	if told {
		c.changed(node, s)
	}
	if doubts {
		c.changed(crdt.NodeID{}, own)
	}
}

// forgetOldest makes room. The caller holds mu.
func (c *clocks) forgetOldest() {
	var oldest crdt.NodeID
	first := true
	for n, p := range c.peers {
		if o := c.peers[oldest]; first || p.at < o.at || p.at == o.at && n.Compare(oldest) < 0 {
			oldest, first = n, false
		}
	}
	delete(c.peers, oldest)
}

// statusOf compares a peer's clock with ours as it is now. The caller holds mu.
func (c *clocks) statusOf(p peerClock) ClockStatus {
	now := c.run()
	offset, err := p.ahead+now-c.wall(), p.err+max(now-p.at, 0)/clockDrift
	return ClockStatus{
		Known:  true,
		Offset: time.Duration(offset) * time.Millisecond,
		Error:  time.Duration(err) * time.Millisecond,
		Skewed: max(offset, -offset)-err > c.skew,
		Agreed: max(offset, -offset)+err <= c.skew,
	}
}

// peer returns what is known of a peer's clock.
func (c *clocks) peer(node crdt.NodeID) (s ClockStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, known := c.peers[node]; known {
		s = c.statusOf(p)
		s.Agreed = false
	}
	return s
}

// own returns what is known of this node's clock.
func (c *clocks) own() ClockStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.judge()
}

// judge compares this node's clock with all that are known. One that is off is
// no argument against ours, nor are several that are off each in its own way:
// only more that agree with each other than agree with us. The caller holds mu.
func (c *clocks) judge() ClockStatus {
	var off []ClockStatus
	agree := 0
	for _, p := range c.peers {
		switch s := c.statusOf(p); {
		case s.Agreed:
			agree++
		case s.Skewed:
			off = append(off, s)
		}
	}
	slices.SortFunc(off, func(a, b ClockStatus) int { return int(min(max(a.Offset-b.Offset, -1), 1)) })
	own := ClockStatus{Known: len(c.peers) > 0}
	most := agree + 1 // and this node
	for from, to := 0, 0; to < len(off); to++ {
		for off[to].Offset-off[from].Offset > time.Duration(c.skew)*time.Millisecond {
			from++
		}
		if n := to - from + 1; n > most {
			middle := off[from+n/2]
			most, own.Skewed = n, true
			own.Offset, own.Error = -middle.Offset, middle.Error
		}
	}
	own.Agreed = agree > 0 && !own.Skewed && c.wall() >= clockSet.UnixMilli()
	return own
}

// clockChanged tells an operator of a clock.
func (d *DB) clockChanged(node crdt.NodeID, s ClockStatus) {
	by := fmt.Sprintf("%s behind", (-s.Offset).Round(time.Millisecond))
	if s.Offset > 0 {
		by = fmt.Sprintf("%s ahead", s.Offset.Round(time.Millisecond))
	}
	own := node.IsZero()
	switch {
	case own && s.Skewed:
		d.skewed(d.node, "this node's clock is "+by+" of that of most peers")
	case own:
		d.log.Info("this node's clock is no longer at odds with most peers")
	case s.Skewed:
		d.skewed(node, "a peer's clock is "+by)
	default:
		d.log.Info("a peer's clock is right again", "node", node.Short())
	}
}

func (d *DB) skewed(node crdt.NodeID, text string) {
	d.log.Warn(text, "node", node.Short())
	d.notices.add(Notice{Kind: NoticeSkew, Node: node, Text: text})
}
