package crdt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// columnsStart is what the columns in tests begin with.
func columnsStart() (Vector, Timestamp) {
	return Vector{{1}: 7, {9}: math.MaxUint64}, TimestampOf(1_700_000_000_000)
}

// columnsOf returns entries in columns, behind how many there are, and their
// writers.
func columnsOf(entries ...Entry) []byte { return columnsWith(entries, func(*Columns) {}) }

// columnsWith is columnsOf, after change.
func columnsWith(entries []Entry, change func(*Columns)) []byte {
	var c Columns
	var table WriterTable
	c.begin(columnsStart())
	for _, e := range entries {
		c.Add(e.Key, e.Record, table.Place)
	}
	change(&c)
	b := binary.AppendUvarint(nil, uint64(len(entries)))
	b = binary.AppendUvarint(b, uint64(len(table.Writers())))
	for _, w := range table.Writers() {
		b = append(b, w[:]...)
	}
	return c.AppendTo(b)
}

// readColumns reads what columnsOf returns.
func readColumns(b []byte) (entries []Entry, err error) {
	r := NewReader(b)
	count, n := r.uvarint(), r.uvarint()
	var table WriterTable
	for i := uint64(0); i < n && r.Err() == nil; i++ {
		var w WriterID
		if copy(w[:], r.take(len(w))); table.Place(w) < i {
			r.Fail("a writer twice")
		}
	}
	seqs, time := columnsStart()
	c := newColumnsReader(r, count, table.Writers(), seqs, time)
	for e, ok := c.Next(); ok; e, ok = c.Next() {
		entries = append(entries, e)
	}
	return entries, r.Done()
}

// oddEntries are records of every shape: several writers that take turns, the
// ends of all numbers, removals, values that end, fields of later releases,
// siblings, one key in two entries, keys within keys, and keys of one writer each.
func oddEntries(t testing.TB) []Entry {
	event := func(w byte, seq uint64, time Timestamp, value string) Event {
		return Event{Dot: Dot{WriterID{w}, seq}, Time: time, Value: []byte(value)}
	}
	gone := event(3, math.MaxUint64, math.MaxUint64, "")
	gone.Removed, gone.Value = true, nil
	ends := event(1, math.MaxUint64, 0, strings.Repeat("x", 300))
	ends.Expires = MaxExpires
	later := event(2, 2, 1<<16, "")
	later.Ext = []byte{0xc0, 0xa1, 'z'}
	long := mustKey(t, strings.Repeat("k", MaxKeyBytes-3))
	ofWriter := func(w WriterID) Key { return mustKey(t, "count") + Key(w[:]) }
	return []Entry{
		{mustKey(t, "a"), Record{event(1, 1, 5, "red")}},
		{mustKey(t, "aa"), Record{event(1, 2, 5, "reel"), event(2, math.MaxUint64, 1<<63, "")}},
		{mustKey(t, "aa"), Record{gone}},
		{mustKey(t, "a"), Record{ends, later}},
		{mustKey(t, "b"), Record{event(1, 1, math.MaxUint64, strings.Repeat("x", 40))}},
		{long, Record{event(1, 1, math.MaxUint64, strings.Repeat("x", 41))}},
		{ofWriter(WriterID{1}), Record{event(1, 1, math.MaxUint64, "blue")}},
		{ofWriter(WriterID{9}), Record{event(9, 1, math.MaxUint64, "blue")}},
		{ofWriter(WriterID{9}), Record{event(1, 1, math.MaxUint64, "blue")}},
		{mustKey(t, "kk"), Record{event(1, 1, math.MaxUint64, "blue")}},
	}
}

// bulkEntries are of one node's bulk of writes: keys of 16 bytes that count up,
// values of 100 that do not compress, 100 in a transaction.
func bulkEntries(t testing.TB, n int) (entries []Entry) {
	for i := range n {
		e := Event{Dot: Dot{WriterID{1}, uint64(i/100 + 1)}, Time: TimestampOf(1_700_000_000_000 + int64(i/100))}
		for at := range uint64(100) {
			e.Value = append(e.Value, byte((uint64(i)*100+at)*0x9e3779b97f4a7c15>>56))
		}
		e.Value = AppendBytes(nil, e.Value)
		entries = append(entries, Entry{mustKey(t, fmt.Sprintf("%016d", i)), Record{e}})
	}
	return entries
}

func sameEntry(a, b Entry) bool {
	return a.Key == b.Key && slices.EqualFunc(a.Record, b.Record, func(x, y Event) bool {
		return x.Dot == y.Dot && x.compareContent(&y) == 0
	})
}

func TestColumnsHoldTheirEntries(t *testing.T) {
	for name, entries := range map[string][]Entry{"odd": oddEntries(t), "bulk": bulkEntries(t, 300), "one": bulkEntries(t, 1)} {
		got, err := readColumns(columnsOf(entries...))
		if err != nil || !slices.EqualFunc(got, entries, sameEntry) {
			t.Errorf("%s: %v\n%v\nin the place of\n%v", name, err, got, entries)
		}
	}
}

func TestColumnsNeverChange(t *testing.T) {
	checkGolden(t, "columns.golden", []goldenCase{
		{"odd", columnsOf(oddEntries(t)[:4]...)}, {"named", columnsOf(oddEntries(t)[6:9]...)}, {"bulk", columnsOf(bulkEntries(t, 12)...)},
	})
}

// What a bulk record takes beside the content of its value is what is new in its
// key, and little else.
func TestColumnsAreShort(t *testing.T) {
	entries := bulkEntries(t, 10_000)
	if n := len(columnsOf(entries...)); n > 10_000*1017/10 {
		t.Errorf("%d bytes for 10,000 records with values of 100", n)
	}
}

func TestColumnsTakeNoMemoryForEachRecord(t *testing.T) {
	entries := bulkEntries(t, 2000)
	var c Columns
	var table WriterTable
	add := func() {
		for _, e := range entries {
			c.Add(e.Key, e.Record, table.Place)
		}
	}
	add()
	b := c.AppendTo(nil)
	room := make([]byte, 0, len(b))
	if n := testing.AllocsPerRun(10, func() { add(); c.AppendTo(room) }); n > 20 {
		t.Errorf("%v allocations to write %d records", n, len(entries))
	}
	n := testing.AllocsPerRun(10, func() {
		c := NewColumnsReader(NewReader(b), uint64(len(entries)), table.Writers())
		for _, ok := c.Next(); ok; _, ok = c.Next() {
		}
	})
	if n > 100 {
		t.Errorf("%v allocations to read %d records", n, len(entries))
	}
}

// What would unfold to too much is known before it is added, and is refused
// before anything of it is made.
func TestColumnsUnfoldToLittle(t *testing.T) {
	many := Entry{Key: mustKey(t, "k")}
	for i := range MaxSiblings {
		many.Record = append(many.Record, Event{Dot: Dot{WriterID{1}, uint64(i + 1)}})
	}
	stem := strings.Repeat("k", 3000)
	var long []Entry
	for i := range 1000 {
		long = append(long, Entry{mustKey(t, fmt.Sprintf("%s%03d", stem, i)), Record{{Dot: Dot{WriterID{1}, 1}}}})
	}
	for name, entries := range map[string][]Entry{"events": {many}, "keys": long} {
		var c Columns
		var table WriterTable
		told := false
		for _, e := range entries {
			told = told || c.Unfold(e.Key, len(e.Record))
			c.Add(e.Key, e.Record, table.Place)
		}
		if !told {
			t.Errorf("%s: they are not said to unfold", name)
		}
		b := c.AppendTo(nil)
		var r Reader
		n := testing.AllocsPerRun(1, func() {
			r.Reset(b)
			NewColumnsReader(&r, uint64(len(entries)), table.Writers())
		})
		if r.Err() == nil || n > 6 { // those of the error
			t.Errorf("%s: read with %v allocations: %v", name, n, r.Err())
		}
	}
}

func TestColumnsThatBreakTheRulesAreRefused(t *testing.T) {
	two := bulkEntries(t, 2)
	number := func(at int, numbers ...byte) []byte {
		return columnsWith(two, func(c *Columns) { c.numbers[at] = column{bytes: numbers, set: 1} })
	}
	whole := columnsOf(two...)
	many := []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}
	three := bulkEntries(t, 3)
	for name, b := range map[string][]byte{
		"three of which two are counted":   columnsWith(three, func(c *Columns) { c.numbers[columnLength] = column{bytes: []byte{19, 19, 0, 19}, set: 1} }),
		"no record":                        append([]byte{0}, whole[1:]...),
		"fewer records":                    append([]byte{1}, whole[1:]...),
		"more records":                     append([]byte{3}, whole[1:]...),
		"more records than bytes":          append([]byte{0xff, 0x7f}, whole[1:]...),
		"something behind it":              append(slices.Clone(whole), 0),
		"a key too long":                   number(columnLength, 19, 0xff, 0x7f),
		"a longer prefix than the key":     number(columnPrefix, 0, 20),
		"a shorter prefix than there is":   number(columnPrefix, 0, 1),
		"a prefix of nothing":              number(columnPrefix, 1, 15),
		"a shorter suffix than there is":   number(columnSuffix, 0, 2),
		"a key named in another way":       number(columnNamed, 0, 2),
		"more events than there are":       number(columnFurther, 0, 1),
		"far more events":                  number(columnFurther, 1, 0xff, 0x7f),
		"as many events as fit a number":   number(columnFurther, append([]byte{1}, many...)...),
		"a writer that is not there":       number(columnWriter, 0, 1),
		"writers out of order":             number(columnWriter, 1, 0),
		"a writer too many":                number(columnWriter, 0, 1, 0),
		"seq 0":                            number(columnSeq, 13, 0),
		"a time before 1970":               number(columnMillis, append([]byte{1}, append(bytes.Repeat([]byte{0xff}, 9), 1)...)...),
		"a time too late":                  number(columnMillis, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0),
		"a logical counter below 0":        number(columnLogical, 1, 0),
		"a logical counter too high":       number(columnLogical, 0x80, 0x80, 0x08, 0),
		"a value too long":                 number(columnValue, 0x84, 0x80, 0x40, 1),
		"a value that is not there":        number(columnValue, 103, 104),
		"a value that is left":             number(columnValue, 103, 0),
		"fields that are not there":        number(columnFields, 0, 1),
		"a lead of nothing":                number(columnLead, 2, 2, 0),
		"a lead longer than the greatest":  number(columnLead, 0, 17),
		"a shorter lead than there is":     columnsWith(two, func(c *Columns) { c.numbers[columnLead] = column{}; c.values = slices.Insert(c.values, 102, 0xc4, 100) }),
		"a lead of one byte":               number(columnLead, 0, 1),
		"two that are not counted":         number(columnLead, 1, 1),
		"more repeated than there are":     number(columnNamed, 1, 1, 1),
		"repeated on and on":               number(columnNamed, append([]byte{1, 1}, many...)...),
		"three that are counted as two":    number(columnLength, 19, 19, 0, 19),
		"a number that is too long":        number(columnFurther, 0x81, 0, 1),
		"a number that does not end":       number(columnFurther, 1, 0x80),
		"a number of more than 64 bits":    number(columnSeq, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02),
		"zeros that are not left out":      number(columnFurther, 0, 0, 0),
		"a key of which nothing is known":  bytes.Replace(whole, []byte("00000"), []byte("0\x00\x0700"), 1),
		"a value's length that is no more": columnsWith(two, func(c *Columns) { c.values = append(c.values, 0) }),
	} {
		if got, err := readColumns(b); err == nil {
			t.Errorf("%s: read %v", name, got)
		}
	}
}

func TestColumnsThatAreCutAreRefused(t *testing.T) {
	whole := columnsOf(bulkEntries(t, 2)...)
	for n := range whole {
		if _, err := readColumns(whole[:n:n]); err == nil {
			t.Errorf("read the first %d of %d bytes", n, len(whole))
		}
	}
}

func TestEntriesThatAreNoneAreRefusedInColumns(t *testing.T) {
	refuse := func(name string, entries ...Entry) {
		t.Helper()
		if got, err := readColumns(columnsOf(entries...)); err == nil {
			t.Errorf("%s: read %v", name, got)
		}
	}
	unordered := oddEntries(t)[1]
	slices.Reverse(unordered.Record)
	refuse("events that do not ascend", unordered)
	much := bulkEntries(t, 2)
	much[1].Record[0].Ext = bytes.Repeat([]byte{0xc0}, 17)
	refuse("an event with too many fields", much...)
	named := mustKey(t, strings.Repeat("k", MaxKeyBytes-3))
	refuse("a key that is too long with its id", Entry{named + Key(make([]byte, 16)), Record{{Dot: Dot{Seq: 1}}}})
	hidden := columnsWith(oddEntries(t)[6:7], func(c *Columns) {
		id := WriterID{1}
		c.numbers[columnNamed] = column{}
		c.numbers[columnLength] = column{bytes: []byte{byte(len(c.keys) + 16)}, set: 1}
		c.keys = append(c.keys, id[:]...)
	})
	if got, err := readColumns(hidden); err == nil {
		t.Errorf("an id that is not named: read %v", got)
	}
}

// FuzzColumns reads any bytes as columns. What is read is written again as the
// same bytes: there is one encoding.
func FuzzColumns(f *testing.F) {
	f.Add(columnsOf(oddEntries(f)...))
	f.Add(columnsOf(oddEntries(f)[6:]...))
	f.Add(columnsOf(bulkEntries(f, 40)...))
	f.Add(columnsWith(bulkEntries(f, 2), func(c *Columns) { // far more events than bytes
		c.numbers[columnFurther] = column{bytes: []byte{1, 0xff, 0xff, 3}, set: 1}
	}))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		entries, err := readColumns(b)
		if err != nil {
			return
		}
		if got := columnsOf(entries...); !bytes.Equal(got, b) {
			t.Errorf("read %x, wrote %x", b, got)
		}
	})
}
