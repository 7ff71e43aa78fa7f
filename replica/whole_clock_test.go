package replica

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// offsetClock is a wall clock that is off by what a test says.
type offsetClock struct{ off atomic.Int64 }

// now is right in 2030, which is when the bubble is.
func (c *offsetClock) now() time.Time {
	return time.Now().AddDate(30, 0, 0).Add(time.Duration(c.off.Load()))
}

func (c *offsetClock) set(off time.Duration) { c.off.Store(int64(off)) }

const (
	tenYears = 10 * 365 * 24 * time.Hour
	// since1970 is what a clock is behind that began at 1970.
	since1970 = 60 * 365 * 24 * time.Hour
)

// withClocks runs fn on a fleet of nodes with clocks that are off, and a
// retention of an hour.
func withClocks(t *testing.T, fn func(*wholeFleet, []*offsetClock), off ...time.Duration) {
	clocks := make([]*offsetClock, len(off))
	change := func(i int, n *wholeNode) {
		clocks[i] = new(offsetClock)
		clocks[i].set(off[i])
		n.options.Now, n.options.Retention = clocks[i].now, time.Hour
	}
	inBubbleWith(t, len(off), simnet.Options{Latency: 10 * time.Millisecond}, change, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		fn(f, clocks)
	})
}

// putFor writes registers that expire.
func (n *wholeNode) putFor(ttl time.Duration, value string, from, to int) {
	n.fleet.t.Helper()
	n.update("edge", func(tx *Tx) error {
		for i := from; i < to; i++ {
			if err := register(i).Set(tx.Expiring(ttl), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// held counts the records that are held, removals and what expired included.
func (n *wholeNode) held() (count int) {
	n.fleet.t.Helper()
	snap := n.snapshot()
	defer snap.Close()
	for _, err := range snap.Scan(crdt.AllKeys) {
		if err != nil {
			n.fleet.t.Fatal(err)
		}
		count++
	}
	return count
}

// clockOf returns what n knows of the clock of another.
func (n *wholeNode) clockOf(other *wholeNode) ClockStatus {
	n.fleet.t.Helper()
	peers, err := n.db.Peers()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Node == other.db.Node() && p.Clock.Known {
			return p.Clock
		}
	}
	n.fleet.t.Fatalf("%s knows nothing of the clock of %s", n.address, other.address)
	return ClockStatus{}
}

// ownClock returns what n thinks of its own clock.
func (n *wholeNode) ownClock() ClockStatus {
	n.fleet.t.Helper()
	s, err := n.db.Status()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return s.Clock
}

// reported counts notices of skew about a node whose text is of this node or a
// peer.
func (n *wholeNode) reported(about *wholeNode) (count int) {
	s, err := n.db.Status()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	for _, one := range s.Notices {
		if one.Kind == NoticeSkew && one.Err == nil && one.Node == about.db.Node() {
			count++
		}
	}
	return count
}

// One device at 1970, one ten years ahead, one that is right: what saw another
// replaces it, whatever the clocks say; nobody's clock is dragged along; each
// knows that the others are off; and nobody collects what expires, since
// nobody can tell who is right.
func TestMergesAreRightWhateverTheClocksSay(t *testing.T) {
	withClocks(t, func(f *wholeFleet, _ []*offsetClock) {
		old, ahead, right := f.nodes[0], f.nodes[1], f.nodes[2]
		f.converge("edge")
		for round, n := range []*wholeNode{ahead, old, right, ahead, right, old} {
			value := fmt.Sprint(round)
			n.put(value, 0, 10)
			f.converge("edge")
			for _, m := range f.nodes {
				m.holds(value, 0, 10)
			}
		}
		// Written apart the clock decides, and the next write all the same.
		f.net.Partition([]string{old.address}, []string{ahead.address}, []string{right.address})
		f.pass(time.Second)
		right.put("right", 0, 1)
		ahead.put("ahead", 0, 1)
		old.put("old", 0, 1)
		f.net.HealAll()
		f.converge("edge")
		right.holds("ahead", 0, 1)
		right.put("over it", 0, 1)
		f.converge("edge")
		old.holds("over it", 0, 1)
		if got, want := right.lastTime(), time.Now().AddDate(30, 0, 0).Add(DefaultMaxSkew); got.After(want) {
			t.Errorf("a clock that is right was dragged to %v", got)
		}
		for _, c := range []struct {
			of, by *wholeNode
			off    time.Duration
		}{{old, right, -since1970}, {ahead, right, tenYears}, {right, old, since1970}, {ahead, old, since1970 + tenYears}} {
			s := c.by.clockOf(c.of)
			if d := s.Offset - c.off; !s.Skewed || max(d, -d) > s.Error || s.Error > time.Second || c.by.reported(c.of) == 0 {
				t.Errorf("%s thinks of %s: %+v, %d notices", c.by.address, c.of.address, s, c.by.reported(c.of))
			}
		}
		for _, n := range f.nodes {
			if own := n.ownClock(); own.Skewed || own.Agreed {
				t.Errorf("%s thinks of itself: %+v", n.address, own)
			}
			n.putFor(time.Minute, "short", 20, 21)
			f.converge("edge")
		}
		f.pass(6 * time.Hour)
		for _, n := range f.nodes {
			if n.held() != 11 {
				t.Errorf("%s holds %d records of 11", n.address, n.held())
			}
		}
	}, -since1970, tenYears, 0)
}

// lastTime returns the time of register 0.
func (n *wholeNode) lastTime() (at time.Time) {
	n.fleet.t.Helper()
	err := n.namespace("edge").View(context.Background(), func(v *View) error {
		all, err := register(0).Conflicts(v)
		if err == nil {
			at = time.UnixMilli(all[0].Time.Millis())
		}
		return err
	})
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return at
}

// Of three that are right and one that is not the three collect what has
// expired; the one collects nothing, and learns that it is the odd one.
func TestWhoAgreesCollectsWhatHasExpired(t *testing.T) {
	withClocks(t, func(f *wholeFleet, clocks []*offsetClock) {
		right, off := f.nodes[:3], f.nodes[3]
		right[0].put("stays", 0, 10)
		right[0].putFor(time.Minute, "short", 5, 20)
		right[0].putFor(24*time.Hour, "long", 20, 25)
		f.converge("edge")
		f.pass(30 * time.Second)
		right[1].holds("short", 5, 20)
		off.holds("", 5, 25) // ten years ahead all of it has expired
		f.pass(time.Minute)
		right[1].holds("", 5, 20)
		f.pass(3 * time.Hour)
		for _, n := range right {
			n.holds("stays", 0, 5)
			n.holds("", 5, 20)
			n.holds("long", 20, 25)
			if own := n.ownClock(); !own.Agreed || n.held() != 10 || len(n.namespace("edge").store.Floor()) == 0 {
				t.Errorf("%s holds %d records of 10, its clock: %+v", n.address, n.held(), own)
			}
		}
		if own := off.ownClock(); !own.Skewed || own.Agreed || off.reported(off) != 1 || off.held() != 25 {
			t.Errorf("the one that is off holds %d records of 25, its clock: %+v, %d notices", off.held(), own, off.reported(off))
		}
		// It is set, and believed again at the next word.
		clocks[3].set(0)
		off.restart()
		f.pass(3 * time.Hour)
		if own := off.ownClock(); !own.Agreed || off.held() != 10 {
			t.Errorf("set again it holds %d records of 10, its clock: %+v", off.held(), own)
		}
		f.converge("edge")
		off.holds("long", 20, 25)
	}, 0, 0, 0, tenYears)
}

// A clock that jumps by ten years ages no removal, neither while the node runs
// nor over a restart; and one that jumps back stops nothing for ten years.
func TestAJumpOfTheClockAgesNothing(t *testing.T) {
	withClocks(t, func(f *wholeFleet, clocks []*offsetClock) {
		jumps := f.nodes[0]
		jumps.put("old", 0, 10)
		f.converge("edge")
		f.pass(3 * time.Hour) // there are checkpoints of that
		jumps.remove(0, 10)
		f.converge("edge")
		f.pass(10 * time.Minute)
		clocks[0].set(tenYears)
		f.pass(20 * time.Minute)
		jumps.restart()
		f.pass(20 * time.Minute)
		if floor := jumps.namespace("edge").store.Floor(); len(floor) > 0 || jumps.held() != 10 {
			t.Errorf("after the jump %d removals are left, the floor is %v", jumps.held(), floor)
		}
		clocks[0].set(0)
		f.pass(2 * time.Hour)
		if jumps.held() != 0 {
			t.Errorf("set back, %d removals are left after two hours more", jumps.held())
		}
		jumps.put("new", 0, 10)
		f.converge("edge")
		f.nodes[1].holds("new", 0, 10)
	}, 0, 0)
}

// What was switched off for longer than the retention, and has a clock that a
// peer's agrees with, counts that time.
func TestTimeThatWasSwitchedOffCounts(t *testing.T) {
	withClocks(t, func(f *wholeFleet, _ []*offsetClock) {
		n := f.nodes[0]
		n.put("old", 0, 10)
		n.remove(0, 10)
		f.converge("edge")
		f.pass(20 * time.Minute)
		if err := n.db.Close(); err != nil {
			t.Fatal(err)
		}
		f.pass(2 * time.Hour)
		n.open()
		f.pass(20 * time.Minute)
		if n.held() != 0 {
			t.Errorf("%d removals are left", n.held())
		}
	}, 0, 0)
}

// A device whose clock steps back an hour at every sync, and over restarts:
// what it writes replaces what it and others wrote before, and its timestamps
// do not go back while it runs.
func TestAClockThatStepsBackAnHourAtEverySync(t *testing.T) {
	withClocks(t, func(f *wholeFleet, clocks []*offsetClock) {
		n, other := f.nodes[0], f.nodes[1]
		var last time.Time
		for round := range 6 {
			value := fmt.Sprint(round)
			n.put(value, 0, 3)
			f.converge("edge")
			other.holds(value, 0, 3)
			at := n.lastTime()
			if restarted := round%3 == 0; !restarted && at.Before(last) {
				t.Errorf("round %d: a timestamp went from %v back to %v", round, last, at)
			}
			last = at
			clocks[0].set(-time.Duration(round+1) * time.Hour)
			if round%3 == 2 {
				n.restart()
				n.put("after it", 0, 3)
				f.converge("edge")
				other.holds("after it", 0, 3)
			}
		}
		other.remove(0, 3)
		f.converge("edge")
		n.holds("", 0, 3)
		f.pass(4 * time.Hour)
		if n.held() != 0 || other.held() != 0 {
			t.Errorf("%d and %d removals are left", n.held(), other.held())
		}
	}, 0, 0)
}

// A clock that is set while the node runs is compared again, on links that are
// idle too: what was agreed on before says nothing of it.
func TestAClockThatIsSetIsComparedAgain(t *testing.T) {
	withClocks(t, func(f *wholeFleet, clocks []*offsetClock) {
		n := f.nodes[0]
		f.converge("edge")
		f.pass(10 * time.Minute)
		clocks[0].set(tenYears)
		if own := n.ownClock(); own.Agreed {
			t.Errorf("set, and not compared: %+v", own)
		}
		f.pass(10 * time.Minute)
		if own := n.ownClock(); own.Agreed || !own.Skewed || n.reported(n) != 1 {
			t.Errorf("set: %+v, %d notices", own, n.reported(n))
		}
		clocks[0].set(0)
		f.pass(10 * time.Minute)
		if own := n.ownClock(); !own.Agreed {
			t.Errorf("set right: %+v", own)
		}
	}, 0, 0, 0)
}

// What one node collected for good a slow clock does not show for long.
func TestExpiryFollowsTheClockOfWhoReads(t *testing.T) {
	withClocks(t, func(f *wholeFleet, _ []*offsetClock) {
		f.nodes[0].putFor(time.Minute, "short", 0, 1)
		f.converge("edge")
		f.pass(80 * time.Second)
		f.nodes[0].holds("", 0, 1)
		f.nodes[1].holds("short", 0, 1) // 40 seconds behind
		f.pass(40 * time.Second)
		f.nodes[1].holds("", 0, 1)
		err := f.nodes[1].namespace("edge").Update(context.Background(), func(tx *Tx) error {
			_, err := register(0).Get(tx)
			return err
		})
		if !errors.Is(err, crdt.ErrMissing) {
			t.Errorf("a transaction reads %v", err)
		}
	}, 0, -40*time.Second)
}
