package protocol

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// columnsReader reads a block in columns (columns.go), and keeps to its bounds.
// It allocates by the chunk, not by the record.
type columnsReader struct {
	r      *crdt.Reader
	table  []crdt.WriterID
	bytes  int // of the block
	left   int // entries still to come
	events int // read

	numbers              [columnCount]columnReader
	keys, fields, values text
	before               []written
	time                 crdt.Timestamp
	key                  []byte // the last one
	keyBytes             int

	names  strings.Builder // memory of keys; what it holds never changes
	memory []crdt.Event    // of records
	used   int             // of memory
}

// text is what is read piece by piece.
type text struct {
	buf []byte
	at  int
}

func (t *text) left() uint64 { return uint64(len(t.buf) - t.at) }

func (t *text) take(n uint64) []byte {
	b := t.buf[t.at : t.at+int(n) : t.at+int(n)]
	t.at += int(n)
	return b
}

const (
	// keyChunkBytes and eventChunk are how much memory keys and records are given
	// at a time: as much as a page, and what few records waste.
	keyChunkBytes = 4 << 10
	eventChunk    = 64
)

// newColumnsReader reads up to the first entry. The block is what r has left. The
// table is written over table.
func newColumnsReader(r *crdt.Reader, table []crdt.WriterID) *columnsReader {
	c := &columnsReader{r: r, bytes: len(r.Rest())}
	count := r.Uint()
	if r.Err() == nil && (count < 2 || count > uint64(c.bytes)) {
		r.Fail(fmt.Sprintf("%d records in columns", count))
	}
	if c.left = int(count); r.Err() != nil {
		c.left = 0
	}
	c.table = readWriterTable(r, table)
	for i := range c.numbers {
		c.numbers[i].buf = r.Bytes(MaxFrameBytes)
	}
	c.keys.buf, c.fields.buf, c.values.buf = r.Bytes(MaxFrameBytes), r.Bytes(MaxFrameBytes), r.Bytes(MaxFrameBytes)
	if r.Err() == nil && repeats(c.table) {
		r.Fail("a writer twice in a table")
	}
	return c
}

// readWriterTable reads a table of writers.
func readWriterTable(r *crdt.Reader, table []crdt.WriterID) []crdt.WriterID {
	n := r.Array(MaxWritersPerFrame)
	table = table[:0]
	for range n {
		table = append(table, r.Writer())
	}
	return table
}

// repeats reports whether a writer is in a table twice.
func repeats(table []crdt.WriterID) bool {
	if len(table) < 2 {
		return false
	}
	sorted := slices.Clone(table)
	slices.SortFunc(sorted, crdt.WriterID.Compare)
	return len(slices.Compact(sorted)) < len(table)
}

// next returns the next entry; ok is false at the end, and after an error, which
// is left in the Reader.
func (c *columnsReader) next() (e crdt.Entry, ok bool) {
	if c.r.Err() != nil {
		return e, false
	}
	if c.left == 0 {
		c.finish()
		return e, false
	}
	c.left--
	if e.Key = c.nextKey(); c.r.Err() != nil {
		return e, false
	}
	n := c.numbers[columnEvents].next()
	if n == 0 || n > crdt.MaxSiblings || c.events+int(n) > c.bytes {
		c.r.Fail(fmt.Sprintf("a record of %d events", n))
		return e, false
	}
	c.events += int(n)
	e.Record = c.room(int(n))
	for i := range e.Record {
		ev := &e.Record[i]
		if c.readEvent(ev); i > 0 && ev.Dot.Compare(e.Record[i-1].Dot) <= 0 {
			c.r.Fail("a record whose events do not ascend")
		}
		if c.r.Err() != nil {
			return e, false
		}
	}
	return e, true
}

// nextKey reads a key.
func (c *columnsReader) nextKey() crdt.Key {
	length, prefix, suffix := c.numbers[columnLength].next(), c.numbers[columnPrefix].next(), c.numbers[columnSuffix].next()
	n := min(uint64(len(c.key)), length)
	if length > crdt.MaxKeyBytes || prefix > n || suffix > n-prefix || length-prefix-suffix > c.keys.left() {
		c.r.Fail(fmt.Sprintf("a key of %d bytes, of which %d and %d are of the one before", length, prefix, suffix))
		return ""
	}
	if c.keyBytes += int(length); c.keyBytes > maxUnfolded*c.bytes {
		c.r.Fail("keys longer than their block may unfold to")
		return ""
	}
	if own := int(length); c.names.Cap()-c.names.Len() < own {
		c.names.Reset()
		c.names.Grow(max(own, min(keyChunkBytes, own*(c.left+1))))
	}
	at := c.names.Len()
	c.names.Write(c.key[:prefix])
	c.names.Write(c.keys.take(length - prefix - suffix))
	c.names.Write(c.key[len(c.key)-int(suffix):])
	k := crdt.Key(c.names.String()[at:])
	if c.more(k, int(prefix), int(suffix)) {
		c.r.Fail("a key of which more is as in the one before")
	} else if err := k.Validate(); err != nil {
		c.r.Fail(err.Error())
	}
	c.key = append(c.key[:0], k...)
	return k
}

// more reports whether more of a key than was said is as in the one before.
func (c *columnsReader) more(k crdt.Key, prefix, suffix int) bool {
	n := min(len(c.key), len(k))
	return prefix < n && c.key[prefix] == k[prefix] ||
		suffix < n-prefix && c.key[len(c.key)-1-suffix] == k[len(k)-1-suffix]
}

// room returns memory for the events of a record.
func (c *columnsReader) room(n int) crdt.Record {
	if n > len(c.memory)-c.used {
		c.memory, c.used = make([]crdt.Event, max(n, min(eventChunk, c.left+1))), 0
	}
	c.used += n
	return c.memory[c.used-n : c.used : c.used]
}

// readEvent reads an event into e, which is zero.
func (c *columnsReader) readEvent(e *crdt.Event) {
	w := c.numbers[columnWriter].next()
	if w > uint64(len(c.before)) || w >= uint64(len(c.table)) {
		c.r.Fail(fmt.Sprintf("writer %d where %d is the next", w, len(c.before)))
		return
	}
	if w == uint64(len(c.before)) {
		c.before = append(c.before, written{time: c.time})
	}
	b := &c.before[w]
	e.Writer = c.table[w]
	if e.Seq = b.seq + uint64(unzigzag(c.numbers[columnSeq].next())); e.Seq == 0 {
		c.r.Fail("event with sequence number 0")
	}
	step := unzigzag(c.numbers[columnMillis].next())
	logical := unzigzag(c.numbers[columnLogical].next())
	if step == 0 {
		logical += int64(b.time & logicalMask)
	}
	// What a step adds to stays within 64 bits: else the sum is not within bounds.
	millis := b.time.Millis() + step
	if step > maxWallMillis || millis < 0 || millis > maxWallMillis || logical < 0 || logical > logicalMask {
		c.r.Fail("a time out of bounds")
		return
	}
	e.Time = crdt.TimestampOf(millis) | crdt.Timestamp(logical)
	*b, c.time = written{e.Seq, e.Time}, e.Time
	c.readContent(e)
}

// readContent reads the value and the fields behind it.
func (c *columnsReader) readContent(e *crdt.Event) {
	value, further := c.numbers[columnValue].next(), c.numbers[columnFurther].next()
	if e.Removed = value == 0; !e.Removed {
		n := value - 1
		if n > crdt.MaxValueBytes || n > c.values.left() {
			c.r.Fail(fmt.Sprintf("a value of %d bytes", n))
			return
		}
		e.Value = c.values.take(n)
	}
	if further == 0 {
		return
	}
	if further > c.fields.left() {
		c.r.Fail(fmt.Sprintf("%d bytes of further fields", further))
	} else if err := e.TakeFields(c.fields.take(further)); err != nil {
		c.r.Fail(err.Error())
	}
}

// finish checks that nothing is left.
func (c *columnsReader) finish() {
	whole := c.keys.left()+c.fields.left()+c.values.left() == 0 && len(c.before) == len(c.table)
	for i := range c.numbers {
		whole = whole && c.numbers[i].done()
	}
	if !whole {
		c.r.Fail("columns that are not as long as they are to be")
	}
}
