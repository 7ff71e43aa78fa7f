package replica

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
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
	// clockInstances bounds those of one node among them: each of its restarts
	// is one, and so is each copy of it.
	clockInstances = 4
	// maxOffset bounds what is said of one, in milliseconds: two of them can be
	// subtracted as Durations.
	maxOffset = int64(math.MaxInt64 / 2 / time.Millisecond)
)

// clockSet is the time before which no clock is right: it began at 1970 when
// the device booted.
var clockSet = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ClockStatus is what is known of a clock.
type ClockStatus struct {
	// Known says that it was compared with another one, since this node's was
	// set last, and since the device last slept.
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
// remembers of one it remembers on a clock that nobody sets, and as good for as
// long as the wall clock goes along with that. Where the two have parted, the
// wall clock was set, or the device slept, when the one that nobody sets stands
// still: only what a peer says from then on counts. Safe for concurrent use.
type clocks struct {
	run     func() int64 // milliseconds, never set
	wall    func() int64
	skew    int64
	changed func(node crdt.NodeID, s ClockStatus) // zero: this node's own

	mu     sync.Mutex
	peers  map[remote]peerClock // of a node that restarted the last few
	skewed bool                 // this node's own, as last reported
}

// peerClock is what a peer's clock said.
type peerClock struct {
	ahead  int64 // of run
	base   int64 // how far ahead of run this node's wall clock was
	err    int64
	at     int64 // on run
	skewed bool  // as last reported
}

func newClocks(run, wall func() int64, skew time.Duration, changed func(crdt.NodeID, ClockStatus)) *clocks {
	return &clocks{run: run, wall: wall, skew: skew.Milliseconds(), changed: changed, peers: map[remote]peerClock{}}
}

// note takes what a peer's clock says now, and reports what changes by it.
func (c *clocks) note(from remote, wall, err int64) {
	c.mu.Lock()
	p, known := c.peers[from]
	if !known {
		p.skewed = c.peers[c.last()[from.node]].skewed // it was restarted, and that is no news
		c.makeRoom(from.node)
	}
	p.at = c.run()
	p.ahead, p.base, p.err = wall-p.at, c.wall()-p.at, err
	s := c.statusOf(p)
	told := p.skewed != s.Skewed
	p.skewed = s.Skewed
	c.peers[from] = p
	own := c.judge()
	turned := c.skewed != own.Skewed
	c.skewed = own.Skewed
	c.mu.Unlock()
	if told {
		c.changed(from.node, s)
	}
	if turned {
		c.changed(crdt.NodeID{}, own)
	}
}

// older orders instances by when they answered. The caller holds mu.
func (c *clocks) older(a, b remote) int {
	return cmp.Or(cmp.Compare(c.peers[a].at, c.peers[b].at), a.node.Compare(b.node), bytes.Compare(a.instance[:], b.instance[:]))
}

// last returns what each node said last. The caller holds mu.
func (c *clocks) last() map[crdt.NodeID]remote {
	last := map[crdt.NodeID]remote{}
	for from := range c.peers {
		if old, known := last[from.node]; !known || c.older(old, from) < 0 {
			last[from.node] = from
		}
	}
	return last
}

// makeRoom makes room for one more instance of a node. The caller holds mu.
func (c *clocks) makeRoom(node crdt.NodeID) {
	var all, same []remote
	for from := range c.peers {
		if all = append(all, from); from.node == node {
			same = append(same, from)
		}
	}
	switch {
	case len(same) >= clockInstances:
		delete(c.peers, slices.MinFunc(same, c.older))
	case len(all) >= clockPeers:
		delete(c.peers, slices.MinFunc(all, c.older))
	}
}

// statusOf compares a peer's clock with ours as it is now. The caller holds mu.
func (c *clocks) statusOf(p peerClock) (s ClockStatus) {
	run, wall := c.run(), c.wall()
	if moved := wall - run - p.base; max(moved, -moved) > c.skew {
		return s
	}
	offset, err := p.ahead+run-wall, p.err+max(run-p.at, 0)/clockDrift
	return ClockStatus{
		Known:  true,
		Offset: time.Duration(min(max(offset, -maxOffset), maxOffset)) * time.Millisecond,
		Error:  time.Duration(min(err, maxOffset)) * time.Millisecond,
		Skewed: max(offset, -offset)-err > c.skew,
		Agreed: max(offset, -offset)+err <= c.skew,
	}
}

// peer returns what is known of a peer's clock; of the last instance of a node,
// if that one is not known.
func (c *clocks) peer(of remote) (s ClockStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, known := c.peers[of]
	if !known {
		p, known = c.peers[c.last()[of.node]]
	}
	if known {
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

// judge compares this node's clock with all that are known, the last instance
// of each node. One that is off is no argument against ours, nor are several
// that are off each in its own way: only more that agree with each other than
// agree with us. The caller holds mu.
func (c *clocks) judge() (own ClockStatus) {
	var off []ClockStatus
	agree := 0
	for _, from := range c.last() {
		s := c.statusOf(c.peers[from])
		own.Known = own.Known || s.Known
		switch {
		case s.Agreed:
			agree++
		case s.Skewed:
			off = append(off, s)
		}
	}
	slices.SortFunc(off, func(a, b ClockStatus) int { return cmp.Compare(a.Offset, b.Offset) })
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
