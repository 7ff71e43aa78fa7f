package protocol

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"sort"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// synthetic is a snapshot of n records that are made when they are scanned.
// Every stride-th one has been changed, if stride is not 0.
type synthetic struct {
	n, stride int
	scanned   *int // counts the records that were read
}

func (s synthetic) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		first := sort.Search(s.n, func(i int) bool { return s.key(i) >= span.From })
		value := make([]byte, 100)
		for i := first; i < s.n; i++ {
			e := s.entry(i, value)
			if !span.Contains(e.Key) {
				return
			}
			if s.scanned != nil {
				*s.scanned++
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// key returns the i-th key, of 20 bytes, in order and scattered evenly.
func (s synthetic) key(i int) crdt.Key {
	place, _ := bits.Div64(uint64(i), 0, uint64(s.n))
	return crdt.Key(fmt.Sprintf("%016x\x00\x00r-", place+1))
}

func (s synthetic) entry(i int, value []byte) crdt.Entry {
	ev := crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(byte(i % 3)), Seq: uint64(i + 1)}, Time: crdt.TimestampOf(1_700_000_000_000)}
	if s.stride > 0 && i%s.stride == s.stride/2 {
		ev.Seq += 1 << 32
	}
	binary.BigEndian.PutUint64(value, ev.Seq)
	ev.Value = value
	return crdt.Entry{Key: s.key(i), Record: crdt.Record{ev}}
}

// Beside the records that changed, a run may take four times their bytes for a
// million others; and with ten times as many, what 16 sums for each change take
// more.
func TestTheCostFollowsWhatChanged(t *testing.T) {
	const changed = 1000
	recordBytes := changed * (20 + 100 + eventOverhead)
	before := 0 // the bytes with a tenth of the records
	sizes := []int{10_000, 100_000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:2] // a million take seconds
	}
	for _, n := range sizes {
		own := summaryOf(t, synthetic{n: n})
		x := newExchange(t, own, summaryOf(t, synthetic{n: n, stride: n / changed}), "")
		if err := x.run(); err != nil {
			t.Fatal(err)
		}
		total := x.sent + x.received
		t.Logf("%d of %d records changed: %d rounds, %d frames of answers, %d bytes sent, %d received, %.2f times the records; %d ranges kept",
			changed, n, x.rounds, x.frames, x.sent, x.received, float64(total)/float64(recordBytes), x.deepest)
		if len(x.differences) != changed {
			t.Errorf("%d differences were found", len(x.differences))
		}
		if total > 5*recordBytes {
			t.Errorf("%d bytes for %d bytes of records", total, recordBytes)
		}
		if more := total - before; before > 0 && more > changed*Fanout*20 {
			t.Errorf("%d bytes more for ten times the records", more)
		}
		if before = total; x.rounds > 16 {
			t.Errorf("%d rounds", x.rounds)
		}
	}
}

func TestABootstrapTakesOneRound(t *testing.T) {
	n := 20_000
	source := synthetic{n: n}
	recordBytes, found, read := 0, 0, 0
	for e := range source.Scan(crdt.AllKeys) {
		b := crdt.AppendString(nil, string(e.Key))
		recordBytes += len(crdt.AppendRecord(b, e.Record, func(w crdt.WriterID) uint64 { return uint64(w[0]) }))
	}
	source.scanned = &read
	x := newExchange(t, summaryOf(t, sorted(nil)), OfferedSummary(source, false), "")
	x.answered = func(Frame) error {
		found += len(x.differences)
		x.differences = nil
		return nil
	}
	if err := x.run(); err != nil {
		t.Fatal(err)
	}
	total := x.sent + x.received
	t.Logf("%d records of %d bytes: %d bytes in %d frames", n, recordBytes, total, x.frames)
	if found += len(x.differences); found != n || x.rounds != 1 || float64(total) > 1.05*float64(recordBytes) {
		t.Errorf("%d records in %d rounds", found, x.rounds)
	}
	if read != n {
		t.Errorf("%d records were read to send %d", read, n)
	}
}

// What is offered sums up to the same as what was read before.
func TestAnOfferIsSummedUpWhenItIsAskedFor(t *testing.T) {
	read := 0
	offer := OfferedSummary(synthetic{n: 5000, stride: 7, scanned: &read}, false)
	if read > 0 {
		t.Errorf("%d records were read before anybody asked", read)
	}
	x := newExchange(t, summaryOf(t, synthetic{n: 5000}), offer, "")
	if err := x.run(); err != nil || len(x.differences) != 5000/7 && len(x.differences) != 5000/7+1 {
		t.Errorf("%d records differ, %v", len(x.differences), err)
	}
	if again := summaryOf(t, synthetic{n: 5000, stride: 7}); offer.total != again.total || len(offer.marks) != len(again.marks) {
		t.Errorf("the sums are %+v, want %+v", offer.total, again.total)
	}
}

// Two snapshots that have nothing in common are the worst that can be: each
// range differs.
func TestARunKeepsFewRanges(t *testing.T) {
	n := 300_000
	x := newExchange(t, summaryOf(t, synthetic{n: n}), summaryOf(t, synthetic{n: n, stride: 1}), "")
	x.answered = func(Frame) error { x.differences = nil; return nil }
	if err := x.run(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rounds, %d ranges at most", x.rounds, x.deepest)
	if x.deepest > 4*MaxRangesPerFrame {
		t.Errorf("%d ranges were kept", x.deepest)
	}
}

// Keys that are long and alike have long boundaries. A compare then asks about
// fewer ranges, and the source takes it.
func TestLongKeysKeepTheBounds(t *testing.T) {
	var own, source sorted
	for i := range 3000 {
		e := crdt.Entry{Key: sampleKey(strings.Repeat("x", 3000) + fmt.Sprintf("%04d", i)), Record: sampleRecords()[1].Record}
		own = append(own, e)
		if i%10 == 0 {
			e.Record = sampleRecords()[0].Record
		}
		source = append(source, e)
	}
	x := newExchange(t, summaryOf(t, own), summaryOf(t, source), "")
	x.asked = func(f Frame) error {
		bytes := 0
		for _, p := range x.comparer.asked {
			bytes += len(p.To)
		}
		if bytes > TargetFrameBytes || f.Len() > TargetFrameBytes {
			t.Errorf("boundaries of %d bytes in a frame of %d", bytes, f.Len())
		}
		return nil
	}
	if err := x.run(); err != nil || len(x.differences) != 300 {
		t.Errorf("%d differences, %v", len(x.differences), err)
	}
}

func TestASummaryIsBoundedWhateverItSums(t *testing.T) {
	for _, tc := range []struct{ n, marks, bytes int }{
		{1, 100, 1000}, {99_999, 100, 1 << 20}, {100_000, 1 << 20, 1000}, {100_000, 0, 0},
	} {
		scanned := 0
		s, err := newSummary(synthetic{n: tc.n, scanned: &scanned}, tc.marks, tc.bytes)
		if err != nil {
			t.Fatal(err)
		}
		bytes := 0
		for i, m := range s.marks {
			bytes += len(m.key)
			if m.below.count != uint64(i+1)*s.stride {
				t.Fatalf("mark %d counts %d records, the stride is %d", i, m.below.count, s.stride)
			}
		}
		if len(s.marks) > tc.marks || bytes > tc.bytes || bytes != s.bytes || s.Len() != uint64(tc.n) {
			t.Errorf("%+v: %d marks of %d bytes for %d records", tc, len(s.marks), bytes, s.Len())
		}
		if scanned != tc.n {
			t.Errorf("%+v: %d records were read", tc, scanned)
		}
	}
}

// A compare of as many ranges as there can be, each of one record or of none,
// makes the source read each record once.
func TestACompareCostsOneScan(t *testing.T) {
	n := 100_000
	scanned := 0
	snapshot := synthetic{n: n, scanned: &scanned}
	s, err := newSummary(snapshot, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var asks []ask
	for i := range MaxRangesPerFrame {
		asks = append(asks, ask{Span: crdt.Span{From: snapshot.key(i * 24), To: snapshot.key(i*24 + 1)}})
	}
	compare := encodeCompare(3, 4, asks)
	scanned = 0
	err = AnswerCompare(s, Serve{Number: 3, Run: 4, Body: compareBody(t, compare)}, func(Frame) error { return nil })
	if err != nil || scanned > n {
		t.Errorf("%d records were read of %d, %v", scanned, n, err)
	}
}

// compareBody returns what follows the head of a compare.
func compareBody(t testing.TB, f Frame) []byte {
	t.Helper()
	r := crdt.NewReader(f.buf[stampRoom:])
	_, fields := readCode(r)
	readCompareHead(r, fields)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return r.Rest()
}
