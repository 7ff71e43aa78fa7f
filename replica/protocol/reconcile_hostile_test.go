package protocol

import (
	"bytes"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// wireRange is a range as it stands in a compare.
type wireRange struct {
	shared uint64
	suffix string
	rest   []any // uint64 or []byte
}

func wireRanges(ranges ...wireRange) []byte {
	b := crdt.AppendArray(nil, len(ranges))
	for _, w := range ranges {
		b = crdt.AppendArray(b, 2+len(w.rest))
		b = crdt.AppendUint(b, w.shared)
		b = crdt.AppendString(b, w.suffix)
		for _, field := range w.rest {
			switch f := field.(type) {
			case uint64:
				b = crdt.AppendUint(b, f)
			case []byte:
				b = crdt.AppendBytes(b, f)
			}
		}
	}
	return b
}

func TestComparesThatBreakTheRulesAreRefused(t *testing.T) {
	_, source := sampleSnapshots()
	s := summaryOf(t, source)
	sum := []any{uint64(1), uint64(2)}
	ids := func(n int) []any { return []any{make([]byte, n)} }
	long := strings.Repeat("x", maxBoundaryBytes)
	// Each boundary shares 4,000 bytes with the one before, and takes a few.
	amplified := []wireRange{{0, long[:4000], sum}}
	for i := range 100 {
		amplified = append(amplified, wireRange{4000, string([]byte{byte(i)}), sum})
	}
	crowd := make([]wireRange, 0, MaxRangesPerFrame+1)
	for i := range MaxRangesPerFrame + 1 {
		w := wireRange{0, string([]byte{byte(i >> 8), byte(i)}), sum}
		if i&0xff != 0 {
			w = wireRange{1, string([]byte{byte(i)}), sum}
		}
		crowd = append(crowd, w)
	}
	for name, b := range map[string][]byte{
		"nothing":                      nil,
		"no ranges":                    wireRanges(),
		"bytes behind the ranges":      append(wireRanges(wireRange{0, "", sum}), 0),
		"a range behind the end":       wireRanges(wireRange{0, "", sum}, wireRange{0, "a", sum}),
		"the end twice":                wireRanges(wireRange{0, "", sum}, wireRange{0, "", sum}),
		"an empty range":               wireRanges(wireRange{0, "a", sum}, wireRange{1, "", sum}),
		"a range backwards":            wireRanges(wireRange{0, "b", sum}, wireRange{0, "a", sum}),
		"a shorter boundary":           wireRanges(wireRange{0, "bb", sum}, wireRange{1, "", sum}),
		"more shared than there is":    wireRanges(wireRange{0, "b", sum}, wireRange{2, "a", sum}),
		"an enormous share":            wireRanges(wireRange{0, "b", sum}, wireRange{1 << 63, "a", sum}),
		"less shared than there is":    wireRanges(wireRange{0, "b", sum}, wireRange{0, "bb", sum}),
		"a long suffix":                wireRanges(wireRange{0, long + "x", sum}),
		"a long boundary":              wireRanges(wireRange{0, long, sum}, wireRange{uint64(len(long)), "x", sum}),
		"boundaries that add up":       wireRanges(amplified...),
		"too many ranges":              wireRanges(crowd...),
		"a gap at the end":             wireRanges(wireRange{0, "a", sum}, wireRange{0, "b", nil}),
		"a gap to the end of all keys": wireRanges(wireRange{0, "", nil}),
		"two gaps":                     wireRanges(wireRange{0, "a", nil}, wireRange{0, "b", nil}, wireRange{0, "c", sum}),
		"only a gap":                   wireRanges(wireRange{0, "a", nil}),
		"a range of one field":         {0x91, 0x91, 0, 0xa1, 'a'},
		"a range of five fields":       wireRanges(wireRange{0, "a", []any{uint64(1), uint64(2), uint64(3)}}),
		"part of an id":                wireRanges(wireRange{0, "a", ids(7)}),
		"too many ids":                 wireRanges(wireRange{0, "a", ids(8 * (LeafKeys + 1))}),
		"a sum in place of ids":        wireRanges(wireRange{0, "a", sum[:1]}),
		"ids in place of a sum":        wireRanges(wireRange{0, "a", append(ids(8), uint64(1))}),
	} {
		sent := 0
		err := AnswerCompare(s, Serve{Number: 5, Run: 4, Body: b}, func(Frame) error { sent++; return nil })
		if !errors.Is(err, ErrMalformed) || sent > 0 {
			t.Errorf("%s: %v, after %d frames", name, err, sent)
		}
	}
	wrong := encodeCompare(3, 4, []ask{{count: s.Len() + 1, fingerprint: s.total.fingerprint()}})
	err := AnswerCompare(s, Serve{Number: 5, Run: 4, Body: compareBody(t, wrong)}, func(f Frame) error {
		if _, body := answerBody(f); !bytes.Equal(body, wireAnswer(1, []byte{0})) {
			t.Errorf("a wrong count is answered by %x", body)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := AnswerCompare(s, Serve{Number: 5, Run: 4, Body: wireRanges(crowd[:MaxRangesPerFrame]...)}, func(Frame) error { return nil }); err != nil {
		t.Errorf("as many ranges as are allowed: %v", err)
	}
}

// wireAnswer returns the body of an answer's frame.
func wireAnswer(ended int, verdicts []byte, records ...crdt.Entry) []byte {
	b := crdt.AppendBytes(crdt.AppendUint(nil, uint64(ended)), verdicts)
	block := newBlockEncoder(false)
	for _, e := range records {
		if err := block.add(e, func() error { return errors.New("full") }); err != nil {
			panic(err)
		}
	}
	return block.appendTo(b)
}

// The sample compare lists nine records, k01 to k09, and sums up ten from k1
// on. Its answer has nine bits and one.
func TestAnswersThatBreakTheRulesAreRefused(t *testing.T) {
	type frame struct {
		last bool
		body []byte
	}
	entry := func(name string) crdt.Entry {
		return crdt.Entry{Key: sampleKey(name), Record: sampleRecords()[0].Record[:1]}
	}
	all, none, most := []byte{0xff, 0x03}, []byte{0, 0}, []byte{0xdf, 0x03}
	open := []byte{0x0f, 0}
	for name, frames := range map[string][]frame{
		"nothing":                          {{true, nil}},
		"too few ranges":                   {{true, wireAnswer(1, all)}},
		"too many ranges":                  {{true, wireAnswer(3, all)}},
		"a last frame that is not flagged": {{false, wireAnswer(2, all)}},
		"too few verdicts":                 {{true, wireAnswer(2, all[:1])}},
		"too many verdicts":                {{true, wireAnswer(2, []byte{0xff, 3, 0})}},
		"bits behind the verdicts":         {{true, wireAnswer(2, []byte{0xff, 7})}},
		"an end within a sum":              {{false, wireAnswer(1, none, entry("k05"))}},
		"an empty frame":                   {{false, wireAnswer(0, open)}},
		"a verdict taken back":             {{false, wireAnswer(0, open, entry("k05"))}, {true, wireAnswer(2, none)}},
		"a verdict that comes late": {
			{false, wireAnswer(0, open, entry("k06a"))}, {false, wireAnswer(0, open, entry("k06b"))}, {true, wireAnswer(2, all)},
		},
		"records out of order":             {{true, wireAnswer(2, most, entry("k06b"), entry("k06a"))}},
		"records out of order over frames": {{false, wireAnswer(0, open, entry("k06b"))}, {true, wireAnswer(2, open, entry("k06a"))}},
		"a record twice":                   {{true, wireAnswer(2, most, entry("k06"), entry("k07a"), entry("k06"))}},
		"a record that is the same":        {{true, wireAnswer(2, all, entry("k06"))}},
		"a record below what was asked":    {{true, wireAnswer(2, all, entry("k"))}},
		"a record of a sum":                {{true, wireAnswer(2, all, entry("k15"))}},
		"a record of the range to come":    {{false, wireAnswer(0, open, entry("k15"))}, {true, wireAnswer(2, all)}},
		"a frame behind the last":          {{true, wireAnswer(2, all)}, {true, wireAnswer(0, nil)}},
		"bytes behind the records":         {{true, append(wireAnswer(2, all), 0)}},
		"a key that is none":               {{true, wireAnswer(2, none, crdt.Entry{Key: "k05", Record: entry("k05").Record})}},
	} {
		own, _ := sampleSnapshots()
		c := sampleComparer(own)
		if _, _, err := c.Next(3, 4); err != nil {
			t.Fatal(err)
		}
		var last error
		for _, f := range frames {
			if last != nil {
				t.Errorf("%s: refused early: %v", name, last)
			}
			for _, err := range c.Answer(f.last, f.body) {
				last = err
			}
		}
		if !errors.Is(last, ErrMalformed) {
			t.Errorf("%s: %v", name, last)
		}
	}
}

// A source that calls everything different makes the other end list what it
// has, once, and no more.
func TestASourceThatNeverAgreesIsAskedToTheEnd(t *testing.T) {
	n := 5000
	own := summaryOf(t, synthetic{n: n})
	c, err := NewComparer(own, "")
	if err != nil {
		t.Fatal(err)
	}
	rounds, gone := 0, 0
	for ; ; rounds++ {
		_, more, err := c.Next(3, 4)
		if err != nil || rounds > n {
			t.Fatalf("round %d: %v", rounds, err)
		}
		if !more {
			break
		}
		bits := 0
		for i := range c.asked {
			bits += c.asked[i].verdictBits()
		}
		for e, err := range c.Answer(true, wireAnswer(len(c.asked), make([]byte, (bits+7)/8))) {
			if err != nil || len(e.Record) > 0 {
				t.Fatal(e, err)
			}
			gone++
		}
	}
	if gone != n || rounds > 8 {
		t.Errorf("%d records are gone after %d rounds", gone, rounds)
	}
}

// failing is a snapshot of which only some records can be read.
type failing struct {
	sorted
	left *int
}

var errDisk = errors.New("the disk is gone")

func (f failing) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for e := range f.sorted.Scan(span) {
			if *f.left--; *f.left < 0 {
				yield(crdt.Entry{}, errDisk)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Wherever a scan fails, at either end, the run ends with its error, and its
// position is one to go on from.
func TestAFailingSnapshotEndsTheRun(t *testing.T) {
	own, source := sampleSnapshots()
	for _, ends := range [][2]bool{{true, false}, {false, true}} {
		for reads := 0; ; reads++ {
			left := 1 << 20
			views := [2]Scanner{own, source}
			for i, s := range []sorted{own, source} {
				if ends[i] {
					views[i] = failing{s, &left}
				}
			}
			x := newExchange(t, summaryOf(t, views[0]), summaryOf(t, views[1]), "")
			left = reads
			err := x.run()
			if err == nil {
				break
			}
			if !errors.Is(err, errDisk) {
				t.Fatalf("after %d reads: %v", reads, err)
			}
			k, ok := x.comparer.Position()
			got := sorted(own).applied(x.differences)
			if !ok {
				t.Fatalf("after %d reads: nothing is left", reads)
			}
			sameRecords(t, "below the position", got.below(k), source.below(k))
		}
	}
	left := 3
	if _, err := NewSummary(failing{own, &left}); !errors.Is(err, errDisk) {
		t.Errorf("a summary: %v", err)
	}
}

func TestASnapshotThatChangesIsNoticed(t *testing.T) {
	own, source := sampleSnapshots()
	view := &changed{own}
	x := newExchange(t, summaryOf(t, view), summaryOf(t, source), "")
	view.Scanner = own[:len(own)-1]
	if err := x.run(); !errors.Is(err, errUnstable) {
		t.Errorf("err = %v", err)
	}
}

type changed struct{ Scanner }

func TestACallerThatStopsCannotGoOn(t *testing.T) {
	own, _ := sampleSnapshots()
	c := sampleComparer(own)
	if _, _, err := c.Next(3, 4); err != nil {
		t.Fatal(err)
	}
	for range c.Answer(true, wireAnswer(2, []byte{0, 0})) {
		break
	}
	if k, ok := c.Position(); !ok || k != own[1].Key {
		t.Errorf("position %q", string(k))
	}
	var last error
	for _, err := range c.Answer(true, wireAnswer(2, []byte{0, 0})) {
		last = err
	}
	if _, _, err := c.Next(3, 4); err == nil || last == nil {
		t.Error("it goes on")
	}
	c = sampleComparer(own)
	for range 2 {
		_, _, last = c.Next(3, 4)
	}
	if last == nil {
		t.Error("two compares at once")
	}
}
