package crdt

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

var extended = Event{
	Dot: Dot{WriterID{1}, 9}, Time: TimestampOf(1_800_000_000_000) + 3, Value: []byte("value"),
	// Three fields of a later release: an integer in a long form, a map, a
	// 32-bit float. This release would write none of them like that.
	Ext: []byte("\xcd\x00\x05\x81\xa1k\xc3\xca\x3f\x80\x00\x00"),
}

func TestFieldsOfLaterReleasesAreCarriedByteForByte(t *testing.T) {
	tab := table{{1}}
	b := AppendEvent(nil, &extended, 0)
	r := NewReader(append(b, 0xc0))
	e := ReadEvent(r, tab.writer)
	if !bytes.Equal(e.Ext, extended.Ext) || !r.Nil() || r.Done() != nil {
		t.Fatalf("fields %x came back as %x, error %v", extended.Ext, e.Ext, r.Err())
	}
	if !bytes.Equal(AppendEvent(nil, &e, 0), b) {
		t.Fatal("written on, the event has other bytes")
	}
	newer := Record{extended}
	older := Record{{Dot: Dot{WriterID{2}, 1}, Value: []byte("old")}}
	joined := Join(older, Vector{{2}: 1}, newer, Vector{{1}: 9})
	if len(joined) != 2 || !bytes.Equal(joined[0].Ext, extended.Ext) {
		t.Fatal("the join lost fields")
	}
	if !bytes.Contains(AppendCanonical(nil, joined), extended.Ext) {
		t.Fatal("the digest leaves fields out")
	}
}

var expiring = Event{
	Dot: Dot{WriterID{2}, 4}, Time: TimestampOf(1_800_000_000_000), Value: []byte("value"),
	Expires: 1_800_000_060_000,
}

func TestEventsKeepTheirBytes(t *testing.T) {
	later := expiring
	later.Ext = []byte("\xa1x")
	lasting := later
	lasting.Expires, lasting.Ext = 0, []byte("\xc0\xa1x")
	removal := Event{Dot: Dot{WriterID{2}, 1 << 33}, Time: 0, Removed: true}
	empty := Event{Dot: Dot{WriterID{1}, 1}, Time: 1<<64 - 1, Value: []byte{}}
	tab := table{{1}, {2}}
	checkGolden(t, "event.golden", []goldenCase{
		{"event with further fields", AppendEvent(nil, &extended, 300)},
		{"removal", AppendEvent(nil, &removal, 0)},
		{"empty value", AppendEvent(nil, &empty, 1)},
		{"record", AppendRecord(nil, Record{extended, removal}, tab.index)},
		{"canonical record", AppendCanonical(nil, Record{extended, removal})},
		{"event with an expiry", AppendEvent(nil, &expiring, 1)},
		{"event with an expiry and further fields", AppendEvent(nil, &later, 1)},
		{"event without one, with further fields", AppendEvent(nil, &lasting, 1)},
		{"canonical record with an expiry", AppendCanonical(nil, Record{later})},
	})
}

func TestMalformedEventsAreRefused(t *testing.T) {
	field := func(n int, parts ...[]byte) []byte {
		return append(AppendArray(nil, n), bytes.Join(parts, nil)...)
	}
	u := func(u uint64) []byte { return AppendUint(nil, u) }
	value := AppendBytes(nil, []byte("v"))
	long := AppendBytes(nil, make([]byte, MaxExtBytes))
	for name, b := range map[string][]byte{
		"too few fields":    field(3, u(0), u(1), u(2)),
		"too many fields":   field(21, u(0), u(1), u(2), value, bytes.Repeat(u(1), 17)),
		"sequence number 0": field(4, u(0), u(0), u(2), value),
		"no such writer":    field(4, u(1), u(1), u(2), value),
		"value a string":    field(4, u(0), u(1), u(2), AppendString(nil, "v")),
		"negative time":     field(4, u(0), u(1), AppendInt(nil, -1), value),
		"value too long":    field(4, u(0), u(1), u(2), AppendBytes(nil, make([]byte, MaxValueBytes+1))),
		"fields too long":   field(5, u(0), u(1), u(2), value, long),
		"field malformed":   field(5, u(0), u(1), u(2), value, []byte{0xc1}),
	} {
		r := NewReader(b)
		e := ReadEvent(r, table{{1}}.writer)
		if r.Err() == nil || e.Seq != 0 || e.Value != nil {
			t.Errorf("%s: read as %v, error %v", name, e, r.Err())
		}
	}
}

func TestEveryTruncatedRecordIsRefused(t *testing.T) {
	tab := table{{1}, {2}}
	whole := AppendRecord(nil, Record{extended, {Dot: Dot{WriterID{2}, 3}, Removed: true}}, tab.index)
	for cut := range len(whole) {
		r := NewReader(whole[:cut:cut])
		if rec := ReadRecord(r, tab.writer); rec != nil || r.Err() == nil {
			t.Errorf("cut at %d of %d: %d events", cut, len(whole), len(rec))
		}
	}
}

// TestOneDotWithTwoContentsEndsAlikeEverywhere: a faulty peer made two events
// of one dot. Whoever merges them in whatever order keeps the same one.
func TestOneDotWithTwoContentsEndsAlikeEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() Event {
			e := Event{Dot: Dot{WriterID{1}, 1}, Time: Timestamp(rapid.Uint64Range(0, 2).Draw(t, "time"))}
			if e.Removed = rapid.Bool().Draw(t, "removed"); !e.Removed {
				e.Value = rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "value")
			}
			if !e.Removed {
				e.Expires = rapid.Int64Range(0, 2).Draw(t, "expires")
			}
			e.Ext = rapid.SampledFrom([][]byte{nil, {0xc0}, {0xc2}}).Draw(t, "ext")
			return e
		}
		a, b, ctx := draw(), draw(), Vector{{1}: 1}
		x, y := Join(Record{a}, ctx, Record{b}, ctx), Join(Record{b}, ctx, Record{a}, ctx)
		if !bytes.Equal(AppendCanonical(nil, x), AppendCanonical(nil, y)) {
			t.Fatalf("%v or %v", x, y)
		}
	})
}

// FuzzReadRecord: what is read is written again to something that reads the
// same; where the input was in order, to the same bytes.
func FuzzReadRecord(f *testing.F) {
	tab := table{{1}, {2}, {3}}
	f.Add(AppendRecord(nil, Record{extended, {Dot: Dot{WriterID{2}, 3}, Removed: true}}, tab.index))
	f.Add(AppendRecord(nil, Record{expiring}, tab.index))
	f.Add([]byte("\x92\x94\x01\x01\x02\xc0\x94\x00\x01\x02\xc0"))
	fuzz.Decoder(f, 128, func(t *testing.T, in []byte) {
		r := NewReader(in)
		rec := ReadRecord(r, tab.writer)
		if r.Err() != nil {
			return
		}
		b := AppendRecord(nil, rec, tab.index)
		if len(b) != len(in)-len(r.Rest()) {
			t.Fatalf("%x read, %x written", in, b)
		}
		again := NewReader(b)
		rec2 := ReadRecord(again, tab.writer)
		if err := again.Done(); err != nil || !bytes.Equal(AppendRecord(nil, rec2, tab.index), b) {
			t.Fatalf("%x read, %x written, which reads as %v, error %v", in, b, rec2, err)
		}
	})
}
