package protocol

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// sorted is a snapshot of records in key order.
type sorted []crdt.Entry

func (s sorted) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for _, e := range s[s.find(span.From):] {
			if !span.Contains(e.Key) || !yield(e, nil) {
				return
			}
		}
	}
}

// find returns the place of the first key at or above k.
func (s sorted) find(k crdt.Key) int {
	i, _ := slices.BinarySearchFunc(s, k, func(e crdt.Entry, k crdt.Key) int { return strings.Compare(string(e.Key), string(k)) })
	return i
}

// from returns the records at or above k.
func (s sorted) from(k crdt.Key) sorted { return s[s.find(k):] }

// below returns the records below k.
func (s sorted) below(k crdt.Key) sorted { return s[:s.find(k)] }

// applied returns s with differences applied, a later one of a key over an
// earlier one.
func (s sorted) applied(differences []crdt.Entry) sorted {
	out := map[crdt.Key]crdt.Record{}
	for _, e := range append(slices.Clone(s), differences...) {
		out[e.Key] = e.Record
	}
	var all sorted
	for k, rec := range out {
		if len(rec) > 0 {
			all = append(all, crdt.Entry{Key: k, Record: rec})
		}
	}
	slices.SortFunc(all, func(a, b crdt.Entry) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return all
}

// failer is a testing.TB or a rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func sameRecords(t failer, what string, got, want sorted) {
	t.Helper()
	if len(got) == len(want) && (len(got) == 0 || reflect.DeepEqual(got, want)) {
		return
	}
	for i := range min(len(got), len(want)) {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("%s: record %d of %d is %v, want %v (of %d)", what, i, len(got), got[i], want[i], len(want))
		}
	}
	t.Fatalf("%s: %d records, want %d", what, len(got), len(want))
}

// exchange is one comparison of an own snapshot with a source's.
type exchange struct {
	comparer *Comparer
	source   *Summary
	target   int // bytes of an answer's blocks, TargetFrameBytes if 0
	// asked and answered are called with each frame, if they are set; an
	// error of answered breaks off before the frame arrives.
	asked, answered func(Frame) error

	differences    []crdt.Entry
	rounds, frames int
	sent, received int
	deepest        int
}

func summaryOf(t failer, snapshot Scanner) *Summary {
	t.Helper()
	s, err := NewSummary(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newExchange(t failer, own, source *Summary, from crdt.Key) *exchange {
	t.Helper()
	c, err := NewComparer(own, from)
	if err != nil {
		t.Fatal(err)
	}
	return &exchange{comparer: c, source: source}
}

// run goes on until everything is resolved, or something fails.
func (x *exchange) run() error {
	for {
		f, more, err := x.comparer.Next(3, 4)
		if err != nil || !more {
			return err
		}
		x.rounds++
		x.sent += f.Len()
		x.deepest = max(x.deepest, len(x.comparer.pending)+len(x.comparer.asked))
		if x.asked != nil {
			if err := x.asked(f); err != nil {
				return err
			}
		}
		r := crdt.NewReader(f.buf[stampRoom:])
		_, fields := readCode(r)
		if h := readCompareHead(r, fields); r.Err() != nil || h != (compareHead{3, 4}) {
			return fmt.Errorf("head %v, %w", h, r.Err())
		}
		if err := x.answer(r.Rest()); err != nil {
			return err
		}
	}
}

// answer has the source answer a compare, and takes the answer.
func (x *exchange) answer(compare []byte) error {
	ended := false
	deliver := func(f Frame) error {
		if x.frames++; ended {
			return fmt.Errorf("a frame behind the last one")
		}
		if x.answered != nil {
			if err := x.answered(f); err != nil {
				return err
			}
		}
		x.received += f.Len()
		r := crdt.NewReader(f.buf[stampRoom:])
		_, fields := readCode(r)
		h := readAnswerHead(r, fields)
		if r.Err() != nil || h.number != 5 || h.run != 4 {
			return fmt.Errorf("head %v, %w", h, r.Err())
		}
		ended = h.last
		return x.take(h.last, r.Rest())
	}
	target := x.target
	if target == 0 {
		target = TargetFrameBytes
	}
	if err := answerCompare(x.source, Serve{Number: 5, Run: 4, Columns: target%2 == 0, Body: compare}, target, deliver); err != nil {
		return err
	}
	if !ended {
		return fmt.Errorf("no frame was the last one")
	}
	return nil
}

// take hands a frame's body to the comparer.
func (x *exchange) take(last bool, body []byte) error {
	var before crdt.Key
	for e, err := range x.comparer.Answer(last, body) {
		if err != nil {
			return err
		}
		if e.Key <= before {
			return fmt.Errorf("%q is yielded behind %q", string(e.Key), string(before))
		}
		before = e.Key
		x.differences = append(x.differences, e)
	}
	return nil
}
