package protocol

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// columnsOf returns the block of entries in columns.
func columnsOf(entries ...crdt.Entry) []byte {
	b := newBlockEncoder(true)
	for _, e := range entries {
		if err := b.add(e, func() error { return errors.New("full") }); err != nil {
			panic(err)
		}
	}
	return b.appendTo(nil)
}

// readBlock returns the entries of a block, as they are in it.
func readBlock(block []byte) (entries []crdt.Entry, err error) {
	r := crdt.NewReader(block)
	c := newColumnsReader(r, nil)
	for e, ok := c.next(); ok; e, ok = c.next() {
		entries = append(entries, e)
	}
	return entries, r.Done()
}

// oddEntries are records of every shape: several writers that take turns, the
// ends of all numbers, removals, values that end, fields of later releases,
// siblings, one key in two entries, and keys within keys.
func oddEntries() []crdt.Entry {
	event := func(w byte, seq uint64, time crdt.Timestamp, value string) crdt.Event {
		return crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(w), Seq: seq}, Time: time, Value: []byte(value)}
	}
	gone := event(3, math.MaxUint64, math.MaxUint64, "")
	gone.Removed, gone.Value = true, nil
	ends := event(1, math.MaxUint64, 0, strings.Repeat("x", 300))
	ends.Expires = crdt.MaxExpires
	later := event(2, 2, 1<<16, "")
	later.Ext = []byte{0xc0, 0xa1, 'z'}
	long, err := crdt.MakeKey(crdt.Path{strings.Repeat("k", crdt.MaxKeyBytes-3)}, crdt.TypeRegister, "")
	if err != nil {
		panic(err)
	}
	return []crdt.Entry{
		{Key: sampleKey("a"), Record: crdt.Record{event(1, 1, 5, "red")}},
		{Key: sampleKey("aa"), Record: crdt.Record{event(1, 2, 5, "red"), event(2, math.MaxUint64, 1<<63, "")}},
		{Key: sampleKey("aa"), Record: crdt.Record{gone}},
		{Key: sampleKey("a"), Record: crdt.Record{ends, later}},
		{Key: sampleKey("b"), Record: crdt.Record{event(1, 1, math.MaxUint64, "blue")}},
		{Key: long, Record: crdt.Record{event(1, 1, math.MaxUint64, "blue")}},
		{Key: sampleKey("kk"), Record: crdt.Record{event(1, 1, math.MaxUint64, "blue")}},
	}
}

func sameEntry(a, b crdt.Entry) bool {
	return a.Key == b.Key && slices.EqualFunc(a.Record, b.Record, func(x, y crdt.Event) bool {
		return sameEvent(x, y) && x.Expires == y.Expires && bytes.Equal(x.Ext, y.Ext)
	})
}

func TestColumnsHoldWhatRowsDo(t *testing.T) {
	for name, entries := range map[string][]crdt.Entry{
		"odd": oddEntries(), "samples": sampleRecords(), "bulk": benchRecords(300),
	} {
		block := columnsOf(entries...)
		if !isColumns(block) {
			t.Errorf("%s: not in columns", name)
		}
		if got, err := readBlock(block); err != nil || !slices.EqualFunc(got, entries, sameEntry) {
			t.Errorf("%s: %v\n%v\nin the place of\n%v", name, err, got, entries)
		}
	}
}

// A delta in columns is what one in rows is, wherever its frames end; a block of
// one record, or of none, is in rows.
func TestADeltaInColumnsIsWhatItIsInRows(t *testing.T) {
	entries := slices.Concat(sampleRecords(), benchRecords(30))
	decode := func(columns bool, target int) (got []crdt.Entry) {
		var dec DeltaDecoder
		enc := NewDeltaEncoder(Build{Number: 1, Columns: columns}, func(f Frame) error {
			_, b := body(t, f)
			for e, err := range dec.Add(b) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e)
			}
			if isColumns(b) != (columns && dec.block.parts > 1) {
				t.Errorf("frames of %d bytes, columns %v: a block %x", target, columns, b)
			}
			return nil
		})
		enc.target = target
		for _, e := range entries {
			if err := enc.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := enc.Finish(nil, nil); err != nil {
			t.Fatal(err)
		}
		if e, ok := dec.Rest(); ok {
			got = append(got, e)
		}
		return got
	}
	for target := 1; target < 6000; target += 97 {
		if rows, columns := decode(false, target), decode(true, target); !slices.EqualFunc(rows, columns, sameEntry) {
			t.Fatalf("frames of %d bytes: %v\nin rows\n%v", target, columns, rows)
		}
	}
	if one := columnsOf(entries[0]); isColumns(one) || isColumns(emptyBlock) {
		t.Errorf("one record, or none, in columns: %x", one)
	}
}

// What a bulk record takes beside its value is what is new in its key, and little
// else.
func TestColumnsAreShort(t *testing.T) {
	entries := benchRecords(1000)
	for i := range entries {
		entries[i].Record[0].Writer, entries[i].Record[0].Seq = sampleWriter(1), uint64(i/100+1)
	}
	if n := len(columnsOf(entries...)); n > 102*len(entries) {
		t.Errorf("%d bytes for %d records with values of 100", n, len(entries))
	}
}

func TestColumnsTakeNoMemoryForEachRecord(t *testing.T) {
	entries := benchRecords(2000)
	enc := newBlockEncoder(true)
	add := func() {
		for _, e := range entries {
			_ = enc.add(e, func() error { panic("full") })
		}
	}
	add()
	block := enc.appendTo(nil)
	room := make([]byte, 0, len(block))
	if n := testing.AllocsPerRun(10, func() { add(); enc.appendTo(room) }); n > 20 {
		t.Errorf("%v allocations to write %d records", n, len(entries))
	}
	n := testing.AllocsPerRun(10, func() {
		r := crdt.NewReader(block)
		c := newColumnsReader(r, nil)
		for _, ok := c.next(); ok; _, ok = c.next() {
		}
	})
	if n > 100 {
		t.Errorf("%v allocations to read %d records", n, len(entries))
	}
}

// A block that unfolds to more than its bounds allow is never written, and not
// read either.
func TestColumnsUnfoldToLittle(t *testing.T) {
	stem := strings.Repeat("k", 3000)
	blocks, b := 0, newBlockEncoder(true)
	flush := func() error {
		if _, err := readBlock(b.appendTo(nil)); err != nil {
			t.Fatal(err)
		}
		blocks++
		return nil
	}
	for i := range 1000 {
		e := crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(1), Seq: uint64(i + 1)}}
		key := sampleKey(stem + string([]byte{'a' + byte(i/26/26), 'a' + byte(i/26%26), 'a' + byte(i%26)}))
		if err := b.add(crdt.Entry{Key: key, Record: crdt.Record{e}}, flush); err != nil {
			t.Fatal(err)
		}
	}
	if err := flush(); err != nil || blocks < 2 {
		t.Errorf("%d blocks", blocks)
	}
}

// columnsWith returns a block of two records with other numbers in a column.
func columnsWith(at int, numbers ...byte) []byte {
	b := newBlockEncoder(true)
	for _, e := range benchRecords(2) {
		_ = b.add(e, nil)
	}
	for i := range b.columns.numbers {
		b.columns.numbers[i].end()
	}
	b.columns.numbers[at] = column{bytes: numbers}
	return b.appendTo(nil)
}

func TestColumnsThatBreakTheRulesAreRefused(t *testing.T) {
	whole := columnsOf(benchRecords(2)...)
	for name, block := range map[string][]byte{
		"no record":                       append([]byte{0}, whole[1:]...),
		"one record":                      append([]byte{1}, whole[1:]...),
		"more records":                    append([]byte{3}, whole[1:]...),
		"more records than bytes":         append([]byte{0xcd, 0xff, 0xff}, whole[1:]...),
		"something behind it":             append(slices.Clone(whole), 0),
		"a key too long":                  columnsWith(columnLength, 16, 0xff, 0x7f),
		"a longer prefix than the key":    columnsWith(columnPrefix, 0, 17),
		"a shorter prefix than there is":  columnsWith(columnPrefix, 0, 1),
		"a prefix of nothing":             columnsWith(columnPrefix, 1, 12),
		"a shorter suffix than there is":  columnsWith(columnSuffix, 0, 2),
		"a record without events":         columnsWith(columnEvents, 0, 1),
		"a record of too many events":     columnsWith(columnEvents, 1, 0xff, 0xff, 0x7f),
		"a writer that is not there":      columnsWith(columnWriter, 0, 2),
		"writers out of order":            columnsWith(columnWriter, 1, 0),
		"a writer too many":               columnsWith(columnWriter, 0, 0, 0),
		"seq 0":                           columnsWith(columnSeq, 0, 4),
		"a time before 1970":              columnsWith(columnMillis, 1, 2),
		"a time too late":                 columnsWith(columnMillis, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0),
		"a logical counter below 0":       columnsWith(columnLogical, 1, 0),
		"a logical counter too high":      columnsWith(columnLogical, 0x80, 0x80, 0x08, 0),
		"a value too long":                columnsWith(columnValue, 0x82, 0x80, 0x40, 1),
		"a value that is not there":       columnsWith(columnValue, 101, 102),
		"a value that is left":            columnsWith(columnValue, 101, 0),
		"fields that are not there":       columnsWith(columnFurther, 0, 1),
		"two that are not counted":        columnsWith(columnEvents, 1, 1),
		"more repeated than there are":    columnsWith(columnEvents, 1, 1, 1),
		"a number that is too long":       columnsWith(columnEvents, 0x81, 0, 1),
		"a number that does not end":      columnsWith(columnEvents, 1, 0x80),
		"a number of more than 64 bits":   columnsWith(columnSeq, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02),
		"a table with a writer twice":     bytes.ReplaceAll(whole, bytes.Repeat([]byte{1}, 16), make([]byte, 16)),
		"a key of which nothing is known": bytes.Replace(whole, []byte("k0000"), []byte("k\x00\x0700"), 1),
	} {
		if got, err := readBlock(block); err == nil {
			t.Errorf("%s: read %v", name, got)
		}
	}
	for n := range whole {
		if _, err := readBlock(whole[:n]); err == nil {
			t.Errorf("read the first %d of %d bytes", n, len(whole))
		}
	}
	for name, suffix := range map[string]byte{"01": 3, "1\x00": 2} {
		b := newBlockEncoder(true)
		for _, e := range benchRecords(2) {
			_ = b.add(e, nil)
		}
		b.columns.keys = append(b.columns.keys[:len(b.columns.keys)-1], name...)
		b.columns.numbers[columnPrefix] = column{bytes: []byte{0, 16 - byte(len(name)) - suffix}}
		b.columns.numbers[columnSuffix] = column{bytes: []byte{0, suffix}}
		if got, err := readBlock(b.appendTo(nil)); err == nil {
			t.Errorf("%q in the place of what is alike: read %v", name, got)
		}
	}
	unordered := oddEntries()[1:3]
	slices.Reverse(unordered[0].Record)
	if _, err := readBlock(columnsOf(unordered...)); err == nil {
		t.Error("read events that do not ascend")
	}
	much := benchRecords(2)
	much[1].Record[0].Ext = bytes.Repeat([]byte{0xc0}, 17)
	if _, err := readBlock(columnsOf(much...)); err == nil {
		t.Error("read an event with too many fields")
	}
}

// A peer that did not say that it takes columns gets none, and may not send any.
func TestColumnsAreForThoseWhoTakeThem(t *testing.T) {
	for _, theirs := range [][]Feature{{FeatureReconcile}, {FeatureReconcile, FeatureColumns}} {
		takes := slices.Contains(theirs, FeatureColumns)
		m := New(Config{Node: crdt.NodeID{2}, Features: []Feature{FeatureReconcile, FeatureColumns}})
		m.Step(0, Opened{flat{}, flat{}.Past(sampleVector())})
		m.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{1}})
		var stamp Stamper
		h := hello{min: 1, max: 1, revocations: m.revoked.hash(), namespaces: []greeting{{"flat", crdt.VectorHash{1}}}, features: theirs}
		m.Step(0, Received{1, stamp.Stamp(h.encode())})
		m.Step(0, Received{1, stamp.Stamp(encodeVector(1, 0, nil))})
		built := 0
		for _, e := range m.Step(0, Received{1, stamp.Stamp((&want{1}).encode())}) {
			if b, ok := e.(Build); ok {
				if built++; b.Columns != takes {
					t.Errorf("to a peer with %v a delta with columns %v", theirs, b.Columns)
				}
			}
		}
		if built != 1 {
			t.Errorf("%d deltas are built", built)
		}
		block := columnsOf(sampleRecords()...)
		closed := false
		for _, e := range m.Step(0, Received{1, stamp.Stamp(Frame{append(appendDeltaHead(len(block), 1, 0, nil), block...)})}) {
			if c, ok := e.(Close); ok {
				closed = c.Code == CodeProtocol && strings.Contains(c.Reason, "columns")
			}
		}
		if closed == takes {
			t.Errorf("columns of a peer with %v close the link: %v", theirs, closed)
		}
	}
}

func TestAnswersInColumnsAreFound(t *testing.T) {
	for _, columns := range []bool{false, true} {
		b := newBlockEncoder(columns)
		for _, e := range sampleRecords() {
			_ = b.add(e, nil)
		}
		head := crdt.AppendBytes(crdt.AppendUint(nil, 1), []byte{0})
		if got := answersInColumns(b.appendTo(head)); got != columns {
			t.Errorf("columns %v are found: %v", columns, got)
		}
	}
}

// FuzzColumns reads any bytes as a block in columns. What is read as one is
// written again as the same bytes: there is one encoding.
func FuzzColumns(f *testing.F) {
	f.Add(columnsOf(sampleRecords()...))
	f.Add(columnsOf(oddEntries()[:5]...))
	f.Add(columnsOf(benchRecords(40)...))
	f.Add(columnsWith(columnEvents, 1, 0xff, 0xff, 3)) // far more events than bytes
	fuzz.Decoder(f, 128, func(t *testing.T, block []byte) {
		if !isColumns(block) {
			return
		}
		entries, err := readBlock(block)
		if err != nil {
			return
		}
		b := newBlockEncoder(true)
		b.target = math.MaxInt
		for _, e := range entries {
			checkDecoded(t, e)
			b.put(e.Key, e.Record)
		}
		if got := b.appendTo(nil); !bytes.Equal(got, block) {
			t.Errorf("read %x, wrote %x", block, got)
		}
	})
}
