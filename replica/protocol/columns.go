package protocol

import (
	"github.com/anabranch-db/anabranch/crdt"
)

// Columns are a block of two records or more in the form that FeatureColumns
// adds: what one record has in common with the one before is not said again. Where
// a block in rows begins with its table, this begins with a number.
//
//	columns  = count table *(column as bytes) keys fields values
//	count    = how many entries there are, two at least
//	table    = [*writer], in the order in which events name them first
//	keys     = bytes, of each key what is not shared with the one before
//	fields   = bytes, of each event its expiry and further fields, as in crdt.Event
//	values   = bytes, the values behind each other
//
// The columns (column.go) are, for each entry
//
//	length   of the key
//	prefix   how many bytes it begins with as the key before does
//	suffix   how many of those behind them it ends with as that does
//	events   how many there are, one at least, ascending by dot
//
// and for each event, where the one before is that of the same writer in the
// block, or of no seq and the time of the last event in the block
//
//	writer   its place in the table
//	seq      its distance from the one before, by zigzag
//	millis   the same of the time's milliseconds
//	logical  the same of its logical counter; from 0, if the milliseconds differ
//	value    its length and 1; 0 is a removal
//	further  how many bytes its fields take
//
// There is one encoding of the same entries: prefixes and suffixes are the longest
// ones. So that nothing small unfolds to something large, there are no more events
// in a block than it has bytes, and its keys are at most maxUnfolded times as long.
type columns struct {
	numbers              [columnCount]column
	keys, fields, values []byte

	before   []written // of each writer in the table
	time     crdt.Timestamp
	key      []byte // the last one
	events   int
	keyBytes int // of whole keys
}

// The columns of numbers, in their order. Frozen.
const (
	columnLength = iota
	columnPrefix
	columnSuffix
	columnEvents
	columnWriter
	columnSeq
	columnMillis
	columnLogical
	columnValue
	columnFurther
	columnCount
)

// written is what an event of the same writer is told from.
type written struct {
	seq  uint64
	time crdt.Timestamp
}

// maxUnfolded is how many times as long as a block the keys in it may be: those of
// 200 bytes, of which 12 are new with each record.
const maxUnfolded = 16

// logicalMask covers the logical counter of a timestamp.
const logicalMask = 1<<16 - 1

// isColumns reports whether a block is in columns.
func isColumns(block []byte) bool {
	return len(block) > 0 && (block[0] < 0x80 || block[0]&^3 == 0xcc) // as a uint begins
}

// size returns how many bytes there are, but for those that say how many.
func (c *columns) size() int {
	n := len(c.keys) + len(c.fields) + len(c.values)
	for i := range c.numbers {
		n += len(c.numbers[i].bytes)
	}
	return n
}

// unfolds reports whether n events more at a key make too much of a block of
// size bytes.
func (c *columns) unfolds(n int, k crdt.Key, size int) bool {
	return c.events+n > size || c.keyBytes+len(k) > maxUnfolded*size
}

// add adds an entry.
func (c *columns) add(k crdt.Key, rec crdt.Record, index func(crdt.WriterID) uint64) {
	prefix, suffix := alike(c.key, k)
	c.numbers[columnLength].add(uint64(len(k)))
	c.numbers[columnPrefix].add(uint64(prefix))
	c.numbers[columnSuffix].add(uint64(suffix))
	c.numbers[columnEvents].add(uint64(len(rec)))
	c.keys = append(c.keys, k[prefix:len(k)-suffix]...)
	c.key = append(c.key[:0], k...)
	c.keyBytes, c.events = c.keyBytes+len(k), c.events+len(rec)
	for i := range rec {
		c.addEvent(&rec[i], index(rec[i].Writer))
	}
}

func (c *columns) addEvent(e *crdt.Event, writer uint64) {
	if writer == uint64(len(c.before)) {
		c.before = append(c.before, written{time: c.time})
	}
	b := &c.before[writer]
	c.numbers[columnWriter].add(writer)
	c.numbers[columnSeq].add(zigzag(int64(e.Seq - b.seq)))
	millis, logical := e.Time.Millis()-b.time.Millis(), int64(e.Time&logicalMask)
	if millis == 0 {
		logical -= int64(b.time & logicalMask)
	}
	c.numbers[columnMillis].add(zigzag(millis))
	c.numbers[columnLogical].add(zigzag(logical))
	*b, c.time = written{e.Seq, e.Time}, e.Time
	value := uint64(0)
	if !e.Removed {
		value = uint64(len(e.Value)) + 1
		c.values = append(c.values, e.Value...)
	}
	c.numbers[columnValue].add(value)
	further := len(c.fields)
	if e.Expires != 0 || len(e.Ext) > 0 {
		c.fields = crdt.AppendFields(c.fields, e)
	}
	c.numbers[columnFurther].add(uint64(len(c.fields) - further))
}

// appendTo appends all that follows the table, and begins anew.
func (c *columns) appendTo(dst []byte) []byte {
	for i := range c.numbers {
		c.numbers[i].end()
		dst = crdt.AppendBytes(dst, c.numbers[i].bytes)
	}
	dst = crdt.AppendBytes(dst, c.keys)
	dst = crdt.AppendBytes(dst, c.fields)
	dst = crdt.AppendBytes(dst, c.values)
	c.reset()
	return dst
}

func (c *columns) reset() {
	for i := range c.numbers {
		c.numbers[i].reset()
	}
	c.keys, c.fields, c.values, c.before = c.keys[:0], c.fields[:0], c.values[:0], c.before[:0]
	c.key, c.time, c.events, c.keyBytes = c.key[:0], 0, 0, 0
}

// alike returns how many bytes two keys begin with alike, and with how many of
// those behind them they end alike.
func alike(a []byte, b crdt.Key) (prefix, suffix int) {
	n := min(len(a), len(b))
	for prefix < n && a[prefix] == b[prefix] {
		prefix++
	}
	for suffix < n-prefix && a[len(a)-1-suffix] == b[len(b)-1-suffix] {
		suffix++
	}
	return prefix, suffix
}
