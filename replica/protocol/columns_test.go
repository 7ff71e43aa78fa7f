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
	c := new(blockDecoder).readColumns(r)
	for e, ok := c.Next(); ok; e, ok = c.Next() {
		entries = append(entries, e)
	}
	return entries, r.Done()
}

func sameEntry(a, b crdt.Entry) bool {
	return a.Key == b.Key && slices.EqualFunc(a.Record, b.Record, func(x, y crdt.Event) bool {
		return sameEvent(x, y) && x.Expires == y.Expires && bytes.Equal(x.Ext, y.Ext)
	})
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

func TestBlocksInColumnsThatBreakTheRulesAreRefused(t *testing.T) {
	whole := columnsOf(benchRecords(2)...)
	for name, block := range map[string][]byte{
		"no record":                   append([]byte{0}, whole[1:]...),
		"one record":                  append([]byte{1}, whole[1:]...),
		"more records":                append([]byte{3}, whole[1:]...),
		"more records than bytes":     append([]byte{0xcd, 0xff, 0xff}, whole[1:]...),
		"something behind it":         append(slices.Clone(whole), 0),
		"a table with a writer twice": bytes.ReplaceAll(whole, bytes.Repeat([]byte{1}, 16), make([]byte, 16)),
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

// A block of one record leaves nothing to the next.
func TestColumnsBeginAnewBehindARow(t *testing.T) {
	entries := benchRecords(3)
	b := newBlockEncoder(true)
	b.put(entries[0].Key, entries[0].Record)
	if isColumns(b.appendTo(nil)) {
		t.Error("one record is in columns")
	}
	for _, e := range entries[1:] {
		b.put(e.Key, e.Record)
	}
	if got, want := b.appendTo(nil), columnsOf(entries[1:]...); !bytes.Equal(got, want) {
		t.Errorf("behind a row %x, without it %x", got, want)
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
	f.Add(columnsOf(benchRecords(40)...))
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
