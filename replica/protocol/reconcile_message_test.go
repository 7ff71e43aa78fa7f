package protocol

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// sampleSnapshots returns 20 records, and what a source has: one of each ten
// has changed, of the first ten one is gone, and there is a new one among them.
func sampleSnapshots() (own, source sorted) {
	for i := range 20 {
		rec := sampleRecords()[i%2].Record
		own = append(own, crdt.Entry{Key: sampleKey(fmt.Sprintf("k%02d", i)), Record: rec})
	}
	source = slices.Clone(own)
	source[5].Record = source[4].Record[1:]
	source[15].Record = source[4].Record
	source[6].Key = sampleKey("k06m")
	source[6].Record = source[4].Record
	return own, source
}

// sampleComparer returns a Comparer that is about to list the first ten of the
// records of own but the first, and to sum up the others.
func sampleComparer(own sorted) *Comparer {
	s, err := NewSummary(own)
	if err != nil {
		panic(err)
	}
	c, err := NewComparer(s, own[1].Key)
	if err != nil {
		panic(err)
	}
	if err := c.split(); err != nil {
		panic(err)
	}
	c.pending[1].differs = true
	return c
}

// sampleExchange returns a compare, and its answer in several frames.
func sampleExchange() (compare Frame, answer []Frame) {
	own, source := sampleSnapshots()
	compare, _, err := sampleComparer(own).Next(3, 4)
	if err != nil {
		panic(err)
	}
	s, err := NewSummary(source)
	if err != nil {
		panic(err)
	}
	r := crdt.NewReader(compare.buf[stampRoom:])
	_, fields := readCode(r)
	readCompareHead(r, fields)
	err = answerCompare(s, Serve{Number: 5, Run: 4, Body: r.Rest()}, 60, func(f Frame) error { answer = append(answer, f); return nil })
	if err != nil {
		panic(err)
	}
	return compare, answer
}

func reconcileSamples() []sample {
	own, _ := sampleSnapshots()
	c := sampleComparer(own)
	asks, err := c.ask()
	if err != nil {
		panic(err)
	}
	compare, answer := sampleExchange()
	out := []sample{{"compare", compare, [2]any{compareHead{3, 4}, asks}, readCompareSample}}
	for i, f := range answer {
		read := func(r *crdt.Reader, fields int) any { return readAnswerSample(answer[:i], r, fields) }
		out = append(out, sample{fmt.Sprintf("answer%d", i+1), f, answerHead{5, 4, i == len(answer)-1}, read})
	}
	return out
}

func readCompareSample(r *crdt.Reader, fields int) any {
	h := readCompareHead(r, fields)
	asks, err := readAsks(r.Rest())
	if err != nil {
		r.Fail(err.Error())
	}
	skipRest(r)
	return [2]any{h, asks}
}

// readAnswerSample reads a frame that comes behind those of before.
func readAnswerSample(before []Frame, r *crdt.Reader, fields int) any {
	own, _ := sampleSnapshots()
	c := sampleComparer(own)
	if _, _, err := c.Next(3, 4); err != nil {
		panic(err)
	}
	for _, f := range before {
		h, body := answerBody(f)
		for _, err := range c.Answer(h.last, body) {
			if err != nil {
				panic(err)
			}
		}
	}
	h := readAnswerHead(r, fields)
	for _, err := range c.Answer(h.last, r.Rest()) {
		if err != nil {
			r.Fail(err.Error())
		}
	}
	skipRest(r)
	return h
}

// answerBody returns the head of an answer's frame and what follows it.
func answerBody(f Frame) (answerHead, []byte) {
	r := crdt.NewReader(f.buf[stampRoom:])
	_, fields := readCode(r)
	h := readAnswerHead(r, fields)
	return h, r.Rest()
}

// FuzzAnswerCompare answers any bytes as a compare.
func FuzzAnswerCompare(f *testing.F) {
	own, source := sampleSnapshots()
	compare, _ := sampleExchange()
	f.Add(compareBody(f, compare))
	f.Add(compareBody(f, encodeCompare(3, 4, []ask{{list: true, ids: []byte{}}})))
	f.Add(compareBody(f, encodeCompare(3, 4, []ask{{Span: crdt.Span{From: own[3].Key, To: own[3].Key + "\x00"}, count: 1}, {}}))[1:])
	s, err := newSummary(source, 1, 100)
	if err != nil {
		f.Fatal(err)
	}
	fuzz.Decoder(f, 128, func(t *testing.T, body []byte) {
		var frames []Frame
		err := answerCompare(s, Serve{Number: 5, Run: 4, Body: body}, 60, func(f Frame) error { frames = append(frames, f); return nil })
		if err != nil {
			if !errors.Is(err, ErrMalformed) || len(frames) > 0 {
				t.Fatalf("%v, after %d frames", err, len(frames))
			}
			return
		}
		for i, f := range frames {
			if h, _ := answerBody(f); h.last != (i == len(frames)-1) {
				t.Fatalf("frame %d of %d: last is %v", i+1, len(frames), h.last)
			}
		}
		asks, _ := readAsks(body)
		if got := compareBody(t, encodeCompare(3, 4, asks)); !reflect.DeepEqual(got, body) {
			t.Fatalf("read %x, wrote %x", body, got)
		}
	})
}

// FuzzAnswer takes any bytes as two frames of an answer. Whatever they say,
// keys are yielded in order, and the position passes nothing twice.
func FuzzAnswer(f *testing.F) {
	own, _ := sampleSnapshots()
	_, answer := sampleExchange()
	for i := range answer {
		h, a := answerBody(answer[i])
		g, b := answerBody(answer[(i+1)%len(answer)])
		f.Add(h.last, a, g.last, b)
	}
	f.Fuzz(func(t *testing.T, lastA bool, a []byte, lastB bool, b []byte) {
		fuzz.Bounded(t, len(a)+len(b), 1024, func() {
			c := sampleComparer(own)
			if _, _, err := c.Next(3, 4); err != nil {
				t.Fatal(err)
			}
			position, _ := c.Position()
			if hostileFrame(t, c, lastA, a, &position) && hostileFrame(t, c, lastB, b, &position) && len(c.asked) == 0 {
				if _, more, err := c.Next(3, 4); more != (len(c.asked) > 0) || err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// hostileFrame takes a frame from anyone, and reports whether it is one.
func hostileFrame(t *testing.T, c *Comparer, last bool, body []byte, position *crdt.Key) bool {
	var before crdt.Key
	for e, err := range c.Answer(last, body) {
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return false
		}
		if e.Key <= before || e.Key < *position {
			t.Fatalf("%q is yielded behind %q, from position %q on", string(e.Key), string(before), string(*position))
		}
		if len(e.Record) > 0 {
			checkDecoded(t, e)
		}
		before = e.Key
	}
	k, ok := c.Position()
	if ok && k < *position {
		t.Fatalf("from position %q to %q", string(*position), string(k))
	}
	*position = k
	return ok
}

func TestAnAnswerArrivesInWholeRecords(t *testing.T) {
	large := crdt.Event{Dot: crdt.Dot{Seq: 1}, Value: make([]byte, crdt.MaxValueBytes)}
	e := crdt.Entry{Key: sampleKey(strings.Repeat("k", crdt.MaxKeyBytes-10))}
	for i := range 3 {
		large.Writer = sampleWriter(byte(i))
		e.Record = append(e.Record, large)
	}
	many := crdt.Entry{Key: sampleKey("many")}
	for i := range crdt.MaxSiblings {
		w := crdt.WriterID{byte(i >> 8), byte(i), 1}
		many.Record = append(many.Record, crdt.Event{Dot: crdt.Dot{Writer: w, Seq: 1 << 60}, Time: 1 << 63, Value: []byte{}})
	}
	source := sorted{e, many}
	own := sorted{{Key: many.Key, Record: e.Record}, {Key: sampleKey("z"), Record: e.Record}}
	x := newExchange(t, summaryOf(t, own), summaryOf(t, source), "")
	x.answered = func(f Frame) error {
		if f.Len()+stampRoom > MaxFrameBytes {
			t.Errorf("a frame of %d bytes", f.Len())
		}
		return nil
	}
	if err := x.run(); err != nil {
		t.Fatal(err)
	}
	sameRecords(t, "differences", x.differences, append(source, crdt.Entry{Key: sampleKey("z")}))
}
