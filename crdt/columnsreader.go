package crdt

import (
	"fmt"
	"strings"
)

// ColumnsReader reads Columns, and keeps to their bounds: how much they unfold to
// is known, and refused if it is too much, before anything of it is made. It
// allocates by the chunk, not by the record. Not safe for concurrent use.
type ColumnsReader struct {
	r     *Reader
	table []WriterID
	start
	left   int // entries still to come
	events int // of them
	keyLen int // bytes of their keys
	size   int // bytes of the columns
	done   progress
	// close says that it may have come so close to the bounds at an entry that
	// Unfold said so, or that the first one could not be in columns by itself.
	close bool

	numbers              [columnCount]columnReader
	keys, fields, values text
	state                columnState

	names  strings.Builder // memory of keys; what it holds never changes
	memory []Event         // of records
	used   int             // of memory
	whole  []byte          // memory of values with a lead
}

// progress is how much was read: events, bytes of whole keys, and bytes of columns
// that are of keys and values.
type progress struct{ events, keyBytes, own int }

const (
	// keyChunkBytes, eventChunk and valueChunkBytes are how much memory keys,
	// records and values are given at a time: as much as a few pages, and what
	// few records waste.
	keyChunkBytes   = 4 << 10
	eventChunk      = 64
	valueChunkBytes = 16 << 10
)

// NewColumnsReader reads the Columns at r of count entries with events of the
// writers of the table. Errors are left in r.
func NewColumnsReader(r *Reader, count uint64, table []WriterID) *ColumnsReader {
	return newColumnsReader(r, count, table, nil, 0)
}

// newColumnsReader is NewColumnsReader of columns that begin with seqs and time.
func newColumnsReader(r *Reader, count uint64, table []WriterID, seqs Vector, time Timestamp) *ColumnsReader {
	c := &ColumnsReader{r: r, table: table, start: start{seqs, time}}
	c.state.time = time
	for i := range c.numbers {
		c.numbers[i] = newColumnReader(r.counted())
		c.size += len(c.numbers[i].buf)
	}
	c.keys.buf, c.fields.buf, c.values.buf = r.counted(), r.counted(), r.counted()
	c.size += len(c.keys.buf) + len(c.fields.buf) + len(c.values.buf)
	if r.Err() == nil {
		c.measure(count)
	}
	return c
}

// measure takes how much the columns stand for, and refuses what is too much, or
// not as long as it is to be.
func (c *ColumnsReader) measure(count uint64) {
	size, further, values := uint64(c.size), measure{}, uint64(0)
	if count == 0 || count > size {
		c.r.Fail(fmt.Sprintf("%d records in columns of %d bytes", count, size))
		return
	}
	for i := range c.numbers {
		want := count
		switch {
		case i == columnLead:
			want = values
		case i > columnFurther:
			want = count + further.sum
		}
		m, ok := c.numbers[i].measure(want)
		if !ok || m.count != want {
			c.r.Fail(fmt.Sprintf("column %d is malformed, or not as long as it is to be", i))
			return
		}
		switch i {
		case columnLength:
			c.keyLen = int(min(m.sum, maxUnfolded*size+1))
		case columnNamed:
			c.keyLen += int(min(m.sum, size) * uint64(len(WriterID{})))
		case columnFurther:
			further = m
			if m.sum > size {
				further.sum = size
			}
			c.left, c.events = int(count), int(count+further.sum)
			if unfold(c.events, c.keyLen, c.size) {
				c.r.Fail(fmt.Sprintf("%d bytes of columns unfold to %d events, or more, and keys of %d bytes", size, c.events, c.keyLen))
				return
			}
		case columnValue:
			values = m.count - m.zeros
		}
	}
}

// Left returns how many entries are still to come.
func (c *ColumnsReader) Left() int { return c.left }

// Next returns the next entry; ok is false at the end, and after an error, which
// is left in the Reader. Values alias what that reads, or memory of their own.
func (c *ColumnsReader) Next() (e Entry, ok bool) {
	if c.r.Err() != nil {
		return e, false
	}
	if c.left == 0 {
		c.finish()
		return e, false
	}
	c.left--
	n := c.numbers[columnFurther].next() + 1
	if n > MaxSiblings {
		c.r.Fail(fmt.Sprintf("a record of %d events", n))
		return e, false
	}
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
	e.Key = c.nextKey(&e.Record[0].Writer)
	c.note(&e)
	return e, c.r.Err() == nil
}

// note takes note of how much was read with an entry.
func (c *ColumnsReader) note(e *Entry) {
	first, before := c.done.events == 0, c.done.own
	c.done.events += len(e.Record)
	c.done.keyBytes += len(e.Key)
	if c.done.own = c.keys.at + c.values.at; first {
		before = c.done.own
	}
	c.close = c.close || unfold(c.done.events, c.done.keyBytes, before)
}

// nextKey reads a key, of a record whose first event is w's.
func (c *ColumnsReader) nextKey(w *WriterID) Key {
	length, prefix, suffix := c.numbers[columnLength].next(), c.numbers[columnPrefix].next(), c.numbers[columnSuffix].next()
	named, before := c.numbers[columnNamed].next(), c.state.stem
	n := min(uint64(len(before)), length)
	if length > MaxKeyBytes || prefix > n || suffix > n-prefix || length-prefix-suffix > c.keys.left() || named > 1 {
		c.r.Fail(fmt.Sprintf("a key of %d bytes, of which %d and %d are of the one before", length, prefix, suffix))
		return ""
	}
	whole := int(length) + int(named)*len(w)
	if c.names.Cap()-c.names.Len() < whole {
		c.names.Reset()
		c.names.Grow(max(whole, min(keyChunkBytes, c.keyLen)))
	}
	c.keyLen -= whole
	at := c.names.Len()
	c.names.Write(before[:prefix])
	c.names.Write(c.keys.take(length - prefix - suffix))
	c.names.Write(before[len(before)-int(suffix):])
	stem := c.names.String()[at:]
	if c.more(stem, int(prefix), int(suffix)) {
		c.r.Fail("a key of which more is as in the one before")
	}
	if c.state.stem = append(before[:prefix], stem[prefix:]...); named == 1 {
		c.names.Write(w[:])
	}
	k := Key(c.names.String()[at:])
	if len(k) > MaxKeyBytes || named == 0 && endsWith(k, w) {
		c.r.Fail("a key that is too long, or does not say that a writer's id is in it")
	} else if err := k.Validate(); err != nil {
		c.r.Fail(err.Error())
	}
	return k
}

// more reports whether more of a stem than was said is as in the one before.
func (c *ColumnsReader) more(stem string, prefix, suffix int) bool {
	before := c.state.stem
	n := min(len(before), len(stem))
	return prefix < n && before[prefix] == stem[prefix] ||
		suffix < n-prefix && before[len(before)-1-suffix] == stem[len(stem)-1-suffix]
}

// room returns memory for the events of a record.
func (c *ColumnsReader) room(n int) Record {
	if n > len(c.memory)-c.used {
		c.memory, c.used = make([]Event, max(n, min(eventChunk, c.events))), 0
	}
	c.events -= n
	c.used += n
	return c.memory[c.used-n : c.used : c.used]
}

// readEvent reads an event into e, which is zero.
func (c *ColumnsReader) readEvent(e *Event) {
	w := c.numbers[columnWriter].next()
	if known := uint64(len(c.state.before)); w > known || w >= uint64(len(c.table)) {
		c.r.Fail(fmt.Sprintf("writer %d where %d is the next", w, known))
		return
	}
	e.Writer = c.table[w]
	b := c.state.of(w, e.Writer, &c.start)
	if e.Seq = b.seq + uint64(unzigzag(c.numbers[columnSeq].next())); e.Seq == 0 {
		c.r.Fail("event with sequence number 0")
	}
	var ok bool
	if e.Time, ok = b.time.step(c.numbers[columnMillis].next(), c.numbers[columnLogical].next()); !ok {
		c.r.Fail("a time out of bounds")
		return
	}
	*b, c.state.time = stamp{e.Seq, e.Time}, e.Time
	c.readContent(e)
}

// readContent reads the value and the fields behind it.
func (c *ColumnsReader) readContent(e *Event) {
	value, fields := c.numbers[columnValue].next(), c.numbers[columnFields].next()
	if e.Removed = value == 0; !e.Removed {
		e.Value = c.readValue(value - 1)
	}
	if fields == 0 {
		return
	}
	if fields > c.fields.left() {
		c.r.Fail(fmt.Sprintf("%d bytes of further fields", fields))
	} else if err := e.TakeFields(c.fields.take(fields)); err != nil {
		c.r.Fail(err.Error())
	}
}

// readValue reads a value of n bytes.
func (c *ColumnsReader) readValue(n uint64) []byte {
	s, lead := &c.state, c.numbers[columnLead].next()
	if n > MaxValueBytes || lead > min(n, uint64(s.leads)) || n-lead > c.values.left() {
		c.r.Fail(fmt.Sprintf("a value of %d bytes, of which %d are of the one before", n, lead))
		return nil
	}
	v := c.values.take(n - lead)
	if lead > 0 {
		v = c.join(s.lead[:lead], v)
	}
	if s.leadOf(v) != int(lead) {
		c.r.Fail("a value that begins as the one before in another way than it says")
	}
	s.setLead(v)
	return v
}

// join returns a value that begins with lead, and goes on with rest.
func (c *ColumnsReader) join(lead, rest []byte) []byte {
	n := len(lead) + len(rest)
	if cap(c.whole)-len(c.whole) < n {
		// As much as is to come at most: this value, and those behind it.
		left := n + len(c.values.buf) - c.values.at + maxLead*c.events
		c.whole = make([]byte, 0, max(n, min(valueChunkBytes, left)))
	}
	at := len(c.whole)
	c.whole = append(append(c.whole, lead...), rest...)
	return c.whole[at:len(c.whole):len(c.whole)]
}

// finish checks that nothing is left.
func (c *ColumnsReader) finish() {
	if c.keys.left()+c.fields.left()+c.values.left() > 0 || len(c.state.before) < len(c.table) {
		c.r.Fail("columns of which something is left")
	}
}
