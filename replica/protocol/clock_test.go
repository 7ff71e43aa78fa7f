package protocol

import (
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// clockPair is two machines with wall clocks, and a link between them that
// takes its time.
type clockPair struct {
	t       *testing.T
	m       [2]*Machine
	wall    [2]int64 // at time 0
	stamps  [2]Stamper
	now     int64
	waiting [2][][]byte // frames that are to come to each
	told    [2][]PeerClock
	frames  int
}

func newClockPair(t *testing.T, features ...Feature) *clockPair {
	p := &clockPair{t: t, now: 1000, wall: [2]int64{1_800_000_000_000, 40}}
	for i := range p.m {
		p.m[i] = New(Config{Node: crdt.NodeID{byte(i + 1)}, Features: features})
	}
	for i := range p.m {
		p.step(i, LinkUp{Link: 1, Peer: crdt.NodeID{byte(2 - i)}, Dialed: i == 0})
	}
	return p
}

// step takes an event, and has what it says go out at once.
func (p *clockPair) step(i int, ev Event) {
	sent := false
	for _, e := range p.m[i].Step(p.now, ev) {
		switch e := e.(type) {
		case Send:
			p.waiting[1-i] = append(p.waiting[1-i], p.stamps[i].Stamp(e.Frame))
			p.frames++
			sent = true
		case PeerClock:
			p.told[i] = append(p.told[i], e)
		case Close:
			p.t.Fatalf("machine %d closes: %s", i, e.Reason)
		}
	}
	if sent {
		p.step(i, Flushed{Link: 1})
	}
}

// deliver lets time pass and delivers what waits for a machine.
func (p *clockPair) deliver(i int, after int64) {
	p.now += after
	frames := p.waiting[i]
	p.waiting[i] = nil
	for _, f := range frames {
		p.step(i, WallClock{p.wall[i] + p.now})
		p.step(i, Received{1, f})
	}
}

// check checks that the last answer that a machine got is within its error.
func (p *clockPair) check(i int, count int, most int64) {
	p.t.Helper()
	if len(p.told[i]) != count {
		p.t.Fatalf("machine %d knows %v", i, p.told[i])
	}
	if count == 0 {
		return
	}
	last := p.told[i][count-1]
	off := last.WallMillis - (p.wall[1-i] + p.now)
	if max(off, -off) > last.ErrorMillis || last.ErrorMillis > most {
		p.t.Errorf("machine %d: the clock of the other says %d, and is said to say %d, within %d",
			i, p.wall[1-i]+p.now, last.WallMillis, last.ErrorMillis)
	}
}

// idleSpace is a namespace in which nothing was ever written.
type idleSpace struct {
	name    string
	lineage *crdt.Lineage
}

func (s idleSpace) Name() string                                { return s.name }
func (s idleSpace) Past(v crdt.Vector) *crdt.Past               { return s.lineage.Past(v) }
func (idleSpace) NodeOf(crdt.WriterID) (n crdt.NodeID, ok bool) { return n, false }

// idle says that a namespace is here in which nothing was ever written.
func idle(name string) Opened {
	ns := idleSpace{name, new(crdt.Lineage)}
	return Opened{ns, ns.Past(nil)}
}

func TestALinkTellsBothClocks(t *testing.T) {
	p := newClockPair(t, FeatureClocks)
	p.deliver(1, 5) // the way there is quick, and the way back slow
	p.deliver(0, 90)
	p.check(0, 1, 50)
	p.deliver(1, 5)
	p.check(1, 1, 52)
	if p.waiting[0] != nil || p.waiting[1] != nil {
		t.Error("there is more to say on a link where nothing happens")
	}
	p.now += 10 * ClockEveryMillis
	p.step(0, Tick{})
	p.step(1, Tick{})
	if p.frames != 4 {
		t.Errorf("%d frames on an idle link, of which two are Hellos", p.frames)
	}
}

func TestAnOldAnswerIsAskedForAgainWithTraffic(t *testing.T) {
	p := newClockPair(t, FeatureClocks)
	p.deliver(1, 1)
	p.deliver(0, 1)
	p.deliver(1, 1)
	p.now += ClockEveryMillis - 10
	p.step(0, idle("young"))
	p.deliver(1, 1)
	p.deliver(0, 1)
	if len(p.told[0]) != 1 {
		t.Errorf("it was asked again at once: %v", p.told[0])
	}
	p.now += ClockEveryMillis
	p.wall[1] += 3_600_000 // it is set meanwhile
	p.step(0, idle("old"))
	p.deliver(1, 20)
	p.deliver(0, 20)
	p.check(0, 2, 22)
}

// After this node's clock was set, or the device slept, the peer is asked again,
// on an idle link too; and what was asked before a sleep and came after it is
// not taken.
func TestAClockThatWasMovedAsksAgain(t *testing.T) {
	p := newClockPair(t, FeatureClocks)
	p.step(0, WallClock{p.wall[0] + p.now})
	p.deliver(1, 5)
	p.wall[0] += 7_200_000 // it slept, and the answer waits for it
	p.wall[1] += 7_200_000
	p.deliver(0, 5)
	p.check(0, 0, 0)
	p.deliver(1, 5)
	p.deliver(0, 5)
	p.check(0, 1, 7)
	p.wall[0] += ClockStepMillis + 1
	p.step(0, WallClock{p.wall[0] + p.now})
	p.deliver(1, 5)
	p.deliver(0, 5)
	p.check(0, 2, 7)
	p.wall[0] += ClockStepMillis
	p.step(0, WallClock{p.wall[0] + p.now})
	if p.waiting[1] != nil {
		t.Error("a clock that is steered asks again")
	}
}

func TestClocksAreToldToThoseWhoListTheFeature(t *testing.T) {
	p := newClockPair(t)
	p.deliver(1, 1)
	p.deliver(0, 1)
	p.check(0, 0, 0)
	if p.frames != 2 {
		t.Errorf("%d frames", p.frames)
	}
	effects := p.m[0].Step(p.now, Received{1, p.stamps[1].Stamp((&clockMessage{}).encode())})
	if len(effects) != 1 || effects[0].(Close).Code != CodeProtocol {
		t.Errorf("to a word that was not agreed on: %v", effects)
	}
}

func TestAnAnswerThatNobodyAskedForMeansNothing(t *testing.T) {
	p := newClockPair(t, FeatureClocks)
	p.deliver(1, 1)
	p.deliver(0, 1)
	for range 3 {
		effects := p.m[0].Step(p.now, Received{1, p.stamps[1].Stamp((&clockMessage{true, 7}).encode())})
		if len(effects) != 0 {
			t.Fatalf("effects %v", effects)
		}
	}
	p.check(0, 1, 10)
}

// A peer that asks and asks, and does not read, is owed one answer beside the
// one that waits to be sent; it is given once that has gone out, and as of then.
func TestAPeerThatKeepsAskingIsOwedOneAnswer(t *testing.T) {
	p := newClockPair(t, FeatureClocks)
	p.deliver(1, 5)
	p.deliver(0, 5)
	told := func(effects []Effect) (walls []int64) {
		for _, e := range effects {
			frame := p.stamps[0].Stamp(e.(Send).Frame)
			r := crdt.NewReader(frame)
			r.Uint()
			_, fields := readCode(r)
			walls = append(walls, readClock(r, fields).wall)
		}
		return walls
	}
	var queued []int64
	asked := p.wall[0] + p.now
	p.m[0].Step(p.now, WallClock{asked})
	for range 100 {
		frame := p.stamps[1].Stamp((&clockMessage{}).encode())
		queued = append(queued, told(p.m[0].Step(p.now, Received{1, frame}))...)
	}
	if !slices.Equal(queued, []int64{asked}) {
		t.Errorf("answers %v wait, want one of %d", queued, asked)
	}
	p.now += 70
	for _, want := range [][]int64{{asked + 70}, nil, nil} {
		if got := told(p.m[0].Step(p.now, Flushed{Link: 1})); !slices.Equal(got, want) {
			t.Errorf("flushed, it answers %v, want %v", got, want)
		}
	}
}
