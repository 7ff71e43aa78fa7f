package protocol

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
)

// drawSnapshots returns snapshots of n nodes that go on from one state: own is
// the first, the others are sources, each of which has seen all that the one
// before it had.
func drawSnapshots(t *rapid.T, n int) (snapshots []sorted) {
	h := history{rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
	base := h.change(nil, rapid.SampledFrom([]int{0, 1, 16, 17, 40, 300, 3000}).Draw(t, "size"))
	changes := rapid.SampledFrom([]int{0, 1, 10, 100, 1000})
	snapshots = append(snapshots, h.change(base, changes.Draw(t, "own")))
	if rapid.IntRange(0, 9).Draw(t, "bootstrap") == 9 {
		snapshots[0] = nil
	}
	for len(snapshots) < n {
		base = h.change(base, changes.Draw(t, "source"))
		snapshots = append(snapshots, base)
	}
	return snapshots
}

// history makes changes, no dot twice.
type history struct {
	rng *rand.Rand
	seq uint64
}

// change returns s with records written, removed, or taken away.
func (h *history) change(s sorted, writes int) sorted {
	var differences []crdt.Entry
	for range writes {
		var k crdt.Key
		if len(s) > 0 && h.rng.IntN(2) == 0 {
			k = s[h.rng.IntN(len(s))].Key
		} else {
			k = h.key()
		}
		differences = append(differences, crdt.Entry{Key: k, Record: h.record()})
	}
	return s.applied(differences)
}

func (h *history) key() crdt.Key {
	prefixes := []string{"a", "b", "ab", "\x00", "\xff", strings.Repeat("x", 30)}
	var p crdt.Path
	for range 1 + h.rng.IntN(3) {
		p = append(p, prefixes[h.rng.IntN(len(prefixes))]+fmt.Sprint(h.rng.IntN(200)))
	}
	k, err := crdt.MakeKey(p, crdt.TypeRegister, []string{"", "\x00", "\x00\x00", "s"}[h.rng.IntN(4)])
	if err != nil {
		panic(err)
	}
	return k
}

// record returns a record of new events, one time in six of none.
func (h *history) record() (rec crdt.Record) {
	for w := range []int{0, 1, 1, 1, 2, 5}[h.rng.IntN(6)] {
		h.seq++
		e := crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(byte(w)), Seq: h.seq}}
		if e.Removed = h.rng.IntN(3) == 0; !e.Removed {
			e.Value = make([]byte, h.rng.IntN(40))
		}
		rec = append(rec, e)
	}
	return rec
}

func TestWhatDiffersIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		snapshots := drawSnapshots(t, 2)
		own, source := snapshots[0], snapshots[1]
		x := newExchange(t, drawSummary(t, own), drawSummary(t, source), "")
		x.target = rapid.IntRange(1, 2000).Draw(t, "target")
		var position crdt.Key
		x.answered = func(Frame) error {
			k, ok := x.comparer.Position()
			if !ok || k < position {
				return fmt.Errorf("from position %q to %q, %v", string(position), string(k), ok)
			}
			position = k
			return nil
		}
		if err := x.run(); err != nil {
			t.Fatal(err)
		}
		if k, ok := x.comparer.Position(); ok {
			t.Fatalf("%q is left", string(k))
		}
		sameRecords(t, "after the exchange", own.applied(x.differences), source)
		for _, e := range x.differences {
			if slices.ContainsFunc(own, func(o crdt.Entry) bool { return o.Key == e.Key && sameDots(o.Record, e.Record) }) {
				t.Fatalf("%q is no difference", string(e.Key))
			}
		}
	})
}

// drawSummary returns a summary that is as coarse as that of many records.
func drawSummary(t *rapid.T, snapshot sorted) *Summary {
	marks := rapid.SampledFrom([]int{0, 1, 3, 10, maxSummaryMarks}).Draw(t, "marks")
	s, err := newSummary(snapshot, marks, maxSummaryBytes)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sameDots(a, b crdt.Record) bool {
	return slices.EqualFunc(a, b, func(x, y crdt.Event) bool { return x.Dot == y.Dot })
}

// A run may break before any frame, and goes on with a source that has seen
// more. What was found below the position is as at the first source, what is
// found from there on is as at the second.
func TestABrokenRunGoesOnAtItsPosition(t *testing.T) {
	broken := errors.New("the link is down")
	rapid.Check(t, func(t *rapid.T) {
		snapshots := drawSnapshots(t, 3)
		own := drawSummary(t, snapshots[0])
		target := rapid.IntRange(1, 2000).Draw(t, "target")
		x := newExchange(t, own, summaryOf(t, snapshots[1]), "")
		x.target = target
		left := rapid.IntRange(0, 40).Draw(t, "frames")
		x.answered = func(Frame) error {
			if left--; left < 0 {
				return broken
			}
			return nil
		}
		if err := x.run(); err != nil && !errors.Is(err, broken) {
			t.Fatal(err)
		}
		position, ok := x.comparer.Position()
		if !ok {
			return
		}
		found := sorted(x.differences)
		found = slices.DeleteFunc(found, func(e crdt.Entry) bool { return e.Key >= position })
		y := newExchange(t, own, summaryOf(t, snapshots[2]), position)
		y.target = target
		if err := y.run(); err != nil {
			t.Fatal(err)
		}
		for _, e := range y.differences {
			if e.Key < position {
				t.Fatalf("%q is found below position %q", string(e.Key), string(position))
			}
		}
		got := snapshots[0].applied(append(found, y.differences...))
		sameRecords(t, "below the position", got.below(position), snapshots[1].below(position))
		sameRecords(t, "from the position on", got.from(position), snapshots[2].from(position))
	})
}

// Contents are told apart without removals. One that may have superseded what the
// asker lists, and the source has not, is brought all the same.
func TestContentsThatWereRemovedAreAnsweredByTheRemoval(t *testing.T) {
	value := crdt.Record{{Dot: crdt.Dot{Writer: sampleWriter(1), Seq: 1}, Value: []byte("v")}}
	removal := crdt.Record{{Dot: crdt.Dot{Writer: sampleWriter(1), Seq: 2}, Removed: true}}
	var own, source sorted
	for i := 100; i < 200; i++ {
		own = append(own, crdt.Entry{Key: sampleKey(fmt.Sprint(i)), Record: value})
		source = append(source, own[len(own)-1])
	}
	source[20].Record = removal
	own[40].Record, source[40].Record = removal, removal
	var sums [2]*Summary
	for i, s := range []sorted{own, source} {
		var err error
		if sums[i], err = NewContentSummary(s); err != nil {
			t.Fatal(err)
		}
	}
	x := newExchange(t, sums[0], sums[1], "")
	if err := x.run(); err != nil {
		t.Fatal(err)
	}
	var brought sorted
	for _, e := range x.differences {
		if len(e.Record) > 0 {
			brought = append(brought, e)
		}
	}
	if i := slices.IndexFunc(brought, func(e crdt.Entry) bool { return e.Key == source[20].Key }); i < 0 || !brought[i].Record[0].Removed {
		t.Errorf("brought is %v, and not the removal at %q", brought, string(source[20].Key))
	}
}

// Removals are events: a record that a removal replaced differs, as does one
// whose removal was collected at one side.
func TestRemovalsAreFound(t *testing.T) {
	key := func(i int) crdt.Key { return sampleKey(fmt.Sprint(i)) }
	value := crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(1), Seq: 1}, Value: []byte("v")}
	removal := crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(1), Seq: 2}, Removed: true}
	var own, source sorted
	for i := 100; i < 200; i++ {
		own = append(own, crdt.Entry{Key: key(i), Record: crdt.Record{value}})
		switch i {
		case 120:
			source = append(source, crdt.Entry{Key: key(i), Record: crdt.Record{removal}})
		case 130:
		default:
			source = append(source, own[len(own)-1])
		}
	}
	own[40].Record = crdt.Record{removal}
	source = slices.DeleteFunc(source, func(e crdt.Entry) bool { return e.Key == own[40].Key })
	x := newExchange(t, summaryOf(t, own), summaryOf(t, source), "")
	if err := x.run(); err != nil {
		t.Fatal(err)
	}
	want := sorted{{Key: key(120), Record: crdt.Record{removal}}, {Key: key(130)}, {Key: key(140)}}
	sameRecords(t, "differences", x.differences, want)
}
