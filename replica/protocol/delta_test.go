package protocol

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
)

// body returns what follows the head of a Delta frame.
func body(t testing.TB, f Frame) (deltaHead, []byte) {
	r := crdt.NewReader(f.buf[stampRoom:])
	_, fields := readCode(r)
	d := readDeltaHead(r, fields)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return d, r.Rest()
}

// decode puts the records of a delta together.
func decode(t testing.TB, frames []Frame) (entries []crdt.Entry) {
	var dec DeltaDecoder
	for _, f := range frames {
		_, b := body(t, f)
		for e, err := range dec.Add(b) {
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
	}
	if e, ok := dec.Rest(); ok {
		entries = append(entries, e)
	}
	return entries
}

func TestADeltaArrivesAsItWasSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		writer := rapid.Custom(func(t *rapid.T) crdt.WriterID { return sampleWriter(rapid.Byte().Draw(t, "writer")) })
		var want []crdt.Entry
		for i := range rapid.IntRange(0, 20).Draw(t, "records") {
			k, err := crdt.MakeKey(crdt.Path{fmt.Sprint(i)}, crdt.TypeRegister, "")
			if err != nil {
				t.Fatal(err)
			}
			e := crdt.Entry{Key: k}
			for range rapid.IntRange(1, 8).Draw(t, "events") {
				ev := crdt.Event{Dot: crdt.Dot{Writer: writer.Draw(t, "w"), Seq: rapid.Uint64Range(1, 1000).Draw(t, "seq")}}
				ev.Value = rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "value")
				e.Record = append(e.Record, ev)
			}
			slices.SortFunc(e.Record, func(a, b crdt.Event) int { return a.Dot.Compare(b.Dot) })
			e.Record = slices.CompactFunc(e.Record, func(a, b crdt.Event) bool { return a.Dot == b.Dot })
			want = append(want, e)
		}
		var frames []Frame
		enc := NewDeltaEncoder(Build{Number: 1}, func(f Frame) error { frames = append(frames, f); return nil })
		enc.target = rapid.IntRange(1, 400).Draw(t, "target")
		for _, e := range want {
			if err := enc.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := enc.Finish(sampleVector(), nil); err != nil {
			t.Fatal(err)
		}
		for i, f := range frames {
			if d, _ := body(&testing.T{}, f); d.last != (i == len(frames)-1) {
				t.Fatalf("frame %d of %d: last is %v", i+1, len(frames), d.last)
			}
		}
		if got := decode(&testing.T{}, frames); !reflect.DeepEqual(got, want) {
			t.Fatalf("sent %v\ngot %v", want, got)
		}
	})
}

func TestFramesKeepTheirBounds(t *testing.T) {
	var frames []Frame
	enc := NewDeltaEncoder(Build{Number: 1}, func(f Frame) error { frames = append(frames, f); return nil })
	key, err := crdt.MakeKey(crdt.Path{string(make([]byte, crdt.MaxKeyBytes/2-10))}, crdt.TypeRegister, "")
	if err != nil {
		t.Fatal(err)
	}
	large := crdt.Event{Dot: crdt.Dot{Seq: 1}, Value: make([]byte, crdt.MaxValueBytes)}
	var rec crdt.Record
	for i := range 3 {
		large.Writer = sampleWriter(byte(i))
		rec = append(rec, large)
	}
	many := crdt.Record{}
	to := crdt.Vector{}
	for i := range crdt.MaxSiblings {
		w := crdt.WriterID{byte(i >> 8), byte(i), 1}
		many = append(many, crdt.Event{Dot: crdt.Dot{Writer: w, Seq: 1 << 60}, Time: 1 << 63})
		to[w] = 1 << 60
	}
	small := crdt.Entry{Key: key[:len(key)-1] + "x", Record: rec[:1]}
	for _, e := range []crdt.Entry{small, {Key: key, Record: rec}, {Key: key + "m", Record: many}} {
		if err := enc.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Finish(to, nil); err != nil {
		t.Fatal(err)
	}
	told := crdt.Vector{}
	var deltas []Frame
	for i, f := range frames {
		if f.Len()+stampRoom > MaxFrameBytes {
			t.Errorf("frame %d has %d bytes", i, f.Len())
		}
		r := crdt.NewReader(f.buf[stampRoom:])
		if c, fields := readCode(r); c == codeHave {
			told.Join(readHave(r, fields).diff)
		} else {
			d := readDeltaHead(r, fields)
			told.Join(d.diff)
			deltas = append(deltas, f)
		}
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
	}
	if !told.Equal(to) {
		t.Errorf("%d entries were told of %d", len(told), len(to))
	}
	if got := decode(t, deltas); len(got) != 3 || len(got[1].Record) != 3 || len(got[2].Record) != crdt.MaxSiblings {
		t.Errorf("%d records arrived", len(got))
	}
}

func TestAnErrorOfTheLinkEndsTheEncoding(t *testing.T) {
	down := errors.New("the link is down")
	enc := NewDeltaEncoder(Build{Number: 1}, func(Frame) error { return down })
	enc.target = 1
	var err error
	for _, e := range append(sampleRecords(), sampleRecords()...) {
		if err = enc.Add(e); err != nil {
			break
		}
	}
	if !errors.Is(err, down) || !errors.Is(enc.Finish(sampleVector(), nil), down) {
		t.Errorf("err = %v", err)
	}
}

func TestRecordsThatBreakTheRulesAreRefused(t *testing.T) {
	good := sampleRecords()[0]
	encode := func(table []crdt.WriterID, records ...crdt.Entry) []byte {
		b := crdt.AppendArray(nil, len(table))
		for _, w := range table {
			b = crdt.AppendBytes(b, w[:])
		}
		b = crdt.AppendArray(b, 2*len(records))
		for _, e := range records {
			b = crdt.AppendString(b, string(e.Key))
			b = crdt.AppendRecord(b, e.Record, func(w crdt.WriterID) uint64 { return uint64(slices.Index(table, w)) & 7 })
		}
		return b
	}
	table := []crdt.WriterID{sampleWriter(1), sampleWriter(2)}
	of := func(w int) crdt.Entry {
		return crdt.Entry{Key: good.Key, Record: crdt.Record{{Dot: crdt.Dot{Writer: table[w], Seq: 1}}}}
	}
	for name, b := range map[string][]byte{
		"parts that do not ascend":  encode(table, of(1), of(0)),
		"an event of no writer":     encode(table[:1], good),
		"a record without events":   encode(table, crdt.Entry{Key: good.Key}),
		"a key that is none":        encode(table, crdt.Entry{Key: "x", Record: good.Record}),
		"an event in two parts":     encode(table, good, good),
		"a key without its record":  append(crdt.AppendArray(nil, 0), 0x91, 0xa1, 'x'),
		"bytes behind the records":  append(encode(table, good), 0),
		"a table that ends early":   encode(table)[:10],
		"no records where some are": encode(table, good)[:37],
	} {
		var dec DeltaDecoder
		var last error
		for _, err := range dec.Add(b) {
			last = err
		}
		if !errors.Is(last, ErrMalformed) {
			t.Errorf("%s: %v", name, last)
		}
	}
}

func TestWritersAreSplitIntoFrames(t *testing.T) {
	var recs []*crdt.WriterRecord
	for i := range 3000 {
		rec := *sampleRecord()
		rec.Writer, rec.Node = crdt.WriterID{byte(i >> 8), byte(i)}, crdt.NodeID{byte(i % 5)}
		recs = append(recs, &rec)
	}
	certificate := func(n crdt.NodeID) []byte {
		if n[0] == 4 {
			return nil
		}
		return n[:1]
	}
	var got []*crdt.WriterRecord
	frames := 0
	for f := range EncodeWriters(7, recs, certificate) {
		frames++
		if f.Len() > TargetFrameBytes+4096 {
			t.Errorf("a frame of %d bytes", f.Len())
		}
		r := crdt.NewReader(f.buf[stampRoom:])
		_, fields := readCode(r)
		if n := readWritersHead(r, fields); n != 7 {
			t.Errorf("number %d", n)
		}
		certs, some, err := DecodeWriters(r.Rest())
		if err != nil || len(certs) != 4 {
			t.Errorf("%d certificates, %v", len(certs), err)
		}
		got = append(got, some...)
	}
	if frames < 2 || !reflect.DeepEqual(got, recs) {
		t.Errorf("%d records in %d frames", len(got), frames)
	}
	for range EncodeWriters(7, nil, certificate) {
		t.Error("a frame without records")
	}
	ws := []crdt.WriterID{recs[0].Writer, recs[1].Writer, recs[2].Writer, recs[3].Writer}
	known := ws[1:3]
	if left := Unintroduced(slices.Clone(ws), known); len(left) != 2 || left[1] != ws[3] {
		t.Errorf("%d are left to introduce", len(left))
	}
}

func TestNothingOfAnEpochIsAdmittedAfterAFailure(t *testing.T) {
	var c Chain
	a := Apply{Epoch: 3}
	if !c.Admits(a) {
		t.Error("the first delta is not admitted")
	}
	c.Fail(a)
	if c.Admits(a) || !c.Admits(Apply{Epoch: 4}) {
		t.Error("the chain is not broken, or for good")
	}
}
