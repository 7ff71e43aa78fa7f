package protocol

import (
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// A node whose disk is full refuses all deltas, asks again after longer and
// longer pauses, and in the end loses the link.
func TestRefusalsEnd(t *testing.T) {
	w := newSimWorld(1, 2)
	w.connect(w.nodes[0], w.nodes[1])
	w.settle()
	w.applyFails = 1000
	w.nodes[0].spaces["alpha"].write(w.keys[:1], false, []byte("v"))
	w.settle()
	w.tidy()
	if len(w.links) != 0 || w.closes[CodeRefused] != 1 {
		t.Fatalf("%d links are left, closes %v", len(w.links), w.closes)
	}
	if w.stats.frames > 8*MaxRefusals || w.now < 60_000 {
		t.Errorf("it took %d frames and %d ms", w.stats.frames, w.now)
	}
}

// A node that recovers in time catches up, however often it refused.
func TestARefuserRecovers(t *testing.T) {
	w := newSimWorld(1, 2)
	w.strict = true
	w.connect(w.nodes[0], w.nodes[1])
	w.settle()
	w.nodes[1].failing = map[string]int{"apply": MaxRefusals - 1}
	w.nodes[0].spaces["alpha"].write(w.keys[:1], false, []byte("v"))
	w.settle()
	w.healed = w.lastMerge
	w.checkConverged()
}

// A peer that tells of something, answers every Want, and yet never brings it
// is asked less and less often.
func TestAPeerThatDoesNotDeliverIsNotAskedInALoop(t *testing.T) {
	a, b, ea, eb := twoMachines(crdt.Vector{}, crdt.Vector{})
	pump(t, a, b, ea, eb)
	s := b.byID[1].byName["flat"]
	stamp := Stamper{s.link.seq.last}
	effects := b.Step(1, Received{1, stamp.Stamp(encodeHave(1, manyEntries(0, 1).Entries()))})
	wants, now, timer := 0, int64(1), int64(0)
	for range 100 {
		var next []Effect
		for _, e := range effects {
			switch e := e.(type) {
			case SetTimer:
				timer = e.AtMillis
			case Send:
				wants++
				var frames []Frame
				enc := NewDeltaEncoder(Build{Number: 1, Epoch: s.recvEpoch}, func(f Frame) error { frames = append(frames, f); return nil })
				if err := enc.Finish(crdt.Vector{}, nil); err != nil {
					t.Fatal(err)
				}
				next = append(next, b.Step(now, Received{1, stamp.Stamp(frames[0])})...)
			case Apply: // nothing comes of it
				next = append(next, b.Step(now, Applied{Job: e.Job, Durable: flat{}.Past(nil)})...)
			}
		}
		if len(next) == 0 { // time passes when nothing else happens
			now = max(now, timer)
			next = append(next, b.Step(now, Tick{})...)
		}
		effects = next
	}
	if elapsed := now; wants < 8 || elapsed < int64(wants-11)*MaxRetryDelayMillis {
		t.Errorf("asked %d times in %d ms", wants, elapsed)
	}
}

// A peer that drops a namespace, comes back and asks for all of it, over and
// over, is given it at once a few times, and then after a pause.
func TestAPeerThatComesBackOverAndOverWaits(t *testing.T) {
	a, b, ea, eb := twoMachines(crdt.Vector{}, manyEntries(0, 1))
	pump(t, a, b, ea, eb)
	for job := range b.jobs { // a, which has nothing, has asked
		b.Step(0, Built{Job: job, To: manyEntries(0, 1)})
	}
	l := b.byID[1]
	stamp := Stamper{l.seq.last}
	say := func(now int64, f Frame) (built int) {
		for _, e := range b.Step(now, Received{1, stamp.Stamp(f)}) {
			switch e := e.(type) {
			case Build:
				built++
				b.Step(now, Built{Job: e.Job, To: manyEntries(0, 1)})
			case Close:
				t.Fatalf("%v", e)
			}
		}
		return built
	}
	ask := func(now int64) int {
		number := uint64(len(l.names))
		return say(now, encodeVector(number, l.byName["flat"].sendEpoch, nil)) + say(now, (&want{number}).encode())
	}
	circle := func(now int64) (built int) {
		for range 1000 {
			built += say(now, (&gone{uint64(len(l.names))}).encode())
			built += say(now, (&announce{"flat"}).encode())
			built += ask(now)
		}
		return built
	}
	if n := circle(1); n != MaxGone {
		t.Errorf("%d deltas were built at one time, want %d", n, MaxGone)
	}
	now := int64(1 + RetryDelayMillis)
	b.Step(now, Tick{})
	if n := ask(now); n != 1 {
		t.Errorf("%d deltas were built after a pause, want one", n)
	}
	if n := circle(now); n != 0 {
		t.Errorf("%d deltas were built before the next pause, want none", n)
	}
	now += GoneMemoryMillis + 1
	b.Step(now, Tick{})
	if n := circle(now); n != MaxGone {
		t.Errorf("%d deltas were built much later, want %d", n, MaxGone)
	}
}

// A clock that steps back stops nothing: deadlines were set by the greatest
// time that was seen.
func TestAClockThatStepsBackIsIgnored(t *testing.T) {
	m := New(Config{Node: crdt.NodeID{1}})
	m.Step(1000, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
	for _, now := range []int64{500, 0, -1} {
		if effects := m.Step(now, Tick{}); len(effects) != 1 || effects[0] != (SetTimer{1000 + HelloTimeoutMillis}) {
			t.Errorf("at %d: %v", now, effects)
		}
	}
	effects := m.Step(1000+HelloTimeoutMillis, Tick{})
	if c, ok := effects[0].(Close); !ok || c.Code != CodeTimeout {
		t.Errorf("%v", effects)
	}
}

// Events for links, namespaces and jobs that are no more come late at times.
func TestLateEventsAreIgnored(t *testing.T) {
	m := New(Config{Node: crdt.NodeID{1}})
	for _, ev := range []Event{
		LinkDown{7}, Received{7, []byte{1}}, Flushed{Link: 7}, Closed{"cats"}, Metered{Link: 7}, Prioritized{"cats", 1}, Durable{"cats", flat{}.Past(manyEntries(0, 1))},
		Built{Job: 7}, Applied{Job: 7, Err: ErrMalformed}, Learned{Job: 7, Err: ErrMalformed}, Tick{},
	} {
		if effects := m.Step(1, ev); len(effects) > 0 {
			t.Errorf("%T: %v", ev, effects)
		}
	}
}

// What only a faulty peer causes closes the link, and names it.
func TestAFaultInAJobClosesTheLink(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want Code
	}{
		{"malformed", ErrMalformed, CodeProtocol},
		{"forged", crdt.ErrWriterRecord, CodeForged},
		{"broken delta", crdt.ErrDelta, CodeProtocol},
	} {
		a, b, ea, eb := twoMachines(crdt.Vector{}, crdt.Vector{})
		pump(t, a, b, ea, eb)
		stamp := Stamper{b.byID[1].seq.last}
		for f := range EncodeWriters(1, []*crdt.WriterRecord{sampleRecord()}, func(crdt.NodeID) []byte { return nil }) {
			effects := b.Step(0, Received{1, stamp.Stamp(f)})
			learn, ok := effects[0].(Learn)
			if !ok {
				t.Fatalf("%s: %v", tc.name, effects)
			}
			effects = b.Step(0, Learned{learn.Job, tc.err})
			if c, ok := effects[0].(Close); !ok || c.Code != tc.want {
				t.Errorf("%s: %v", tc.name, effects)
			}
		}
	}
}
