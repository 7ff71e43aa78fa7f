package crdt

import (
	"encoding/binary"
	"slices"
)

// Columns are entries in a form in which what one has in common with the one
// before is not said again. The container says beside them how many entries
// there are, which writers events name, and in which order they name them first.
//
//	columns = *(column, counted) keys fields values
//	keys    = counted, of each key what is its own
//	fields  = counted, of each event its expiry and further fields, as in Event
//	values  = counted, of each value what is its own
//	counted = how many bytes there are, as uvarint, and those
//
// The columns (column.go) are, for each entry
//
//	length   of the key's stem: the key without the id of the writer of the
//	         record's first event, if that is what it ends with, as the keys
//	         do that are one for each writer
//	prefix   how many bytes the stem begins with as the stem before does
//	suffix   how many of those behind them it ends with as that does
//	named    1 if there is that id behind the stem, else 0
//	further  how many events there are, ascending by dot, beside the first
//
// and for each event, where the one before is that of the same writer in the
// columns, or of the seq and with the time that they begin with (0 and 0, but in a
// Delta), or the time of the last event in them, if there is one
//
//	writer   its place in the table
//	seq      its distance from the one before, by zigzag
//	millis   the same of the time's milliseconds
//	logical  the same of its logical counter; from 0, if the milliseconds differ
//	value    its length and 1; 0 is a removal
//	fields   how many bytes its fields take
//
// and for each value
//
//	lead     how many bytes, 2 to 16 of them, it begins with as the one before
//
// There is one encoding of the same entries: stems are the shortest, prefixes,
// suffixes and leads the longest ones. So that nothing small unfolds to something
// large, there are no more events than the columns have bytes, and the keys are at
// most maxUnfolded times as long. The zero value is ready. Not safe for
// concurrent use.
type Columns struct {
	numbers              [columnCount]column
	keys, fields, values []byte
	start
	state columnState

	events   int
	keyBytes int // of whole keys
}

// The columns of numbers, in their order. Frozen.
const (
	columnLength = iota
	columnPrefix
	columnSuffix
	columnNamed
	columnFurther
	columnWriter
	columnSeq
	columnMillis
	columnLogical
	columnValue
	columnFields
	columnLead
	columnCount
)

// start is what the first event of a writer is told from.
type start struct {
	seqs Vector
	time Timestamp
}

// columnState is what the next entry is told from.
type columnState struct {
	before []stamp // of each writer in the table
	time   Timestamp
	stem   []byte // of the last key
	lead   [maxLead]byte
	leads  int // how many bytes of lead there are
}

// stamp is what an event of the same writer is told from.
type stamp struct {
	seq  uint64
	time Timestamp
}

const (
	// minLead is what a lead saves at least, since one that is by chance costs
	// as much; maxLead covers the header of a value and the first of its field
	// names, and keeps what an event unfolds to within what it takes anyhow.
	minLead = 2
	maxLead = 16
	// maxUnfolded is how many times as long as their columns keys may be: those
	// of 200 bytes, of which 12 are new with each record.
	maxUnfolded = 16
)

// logicalMask covers the logical counter of a timestamp.
const logicalMask = 1<<logicalBits - 1

// stepsFrom returns the columns' millis and logical of t, where before is the one
// before.
func (t Timestamp) stepsFrom(before Timestamp) (millis, logical uint64) {
	m, l := t.Millis()-before.Millis(), int64(t&logicalMask)
	if m == 0 {
		l -= int64(before & logicalMask)
	}
	return zigzag(m), zigzag(l)
}

// step returns the time that is so many steps from t; ok is false if there is none.
func (t Timestamp) step(millis, logical uint64) (next Timestamp, ok bool) {
	m, l := unzigzag(millis), unzigzag(logical)
	if m == 0 {
		l += int64(t & logicalMask)
	}
	// What a step adds to stays within 64 bits: else the sum is not within bounds.
	if wall := t.Millis() + m; m <= maxMillis && wall >= 0 && wall <= maxMillis && l >= 0 && l <= logicalMask {
		return TimestampOf(wall) | Timestamp(l), true
	}
	return 0, false
}

// begin says what the columns begin with: seqs of writers, and a time; without it,
// 0 and 0. It is due before the first entry, and their reader must be told the same.
func (c *Columns) begin(seqs Vector, time Timestamp) {
	c.start = start{seqs, time}
	c.state.time = time
}

// grow makes room for the values of entries.
func (c *Columns) grow(entries []Entry) {
	n := 0
	for i := range entries {
		for j := range entries[i].Record {
			n += len(entries[i].Record[j].Value)
		}
	}
	c.values = slices.Grow(c.values, n)
}

// Size returns about how many bytes there are.
func (c *Columns) Size() int {
	n := len(c.keys) + len(c.fields) + len(c.values)
	for i := range c.numbers {
		n += len(c.numbers[i].bytes)
	}
	return n
}

// exact returns how many bytes there are, but for those that say how many.
func (c *Columns) exact() int {
	n := len(c.keys) + len(c.fields) + len(c.values)
	for i := range c.numbers {
		n += c.numbers[i].size()
	}
	return n
}

// Unfold reports whether n events more at a key make the columns unfold to more
// than is allowed. If they do there are to be others for them; ones that do by
// themselves cannot be in columns.
func (c *Columns) Unfold(k Key, n int) bool {
	events, keys := c.events+n, c.keyBytes+len(k)
	if !unfold(events, keys, len(c.keys)+len(c.values)) { // as most do not, by these alone
		return false
	}
	return unfold(events, keys, c.exact())
}

// unfolded reports whether what was added unfolds to more than is allowed.
func (c *Columns) unfolded() bool { return unfold(c.events, c.keyBytes, c.exact()) }

// unfold reports whether size bytes may not stand for so many events and bytes
// of keys.
func unfold(events, keys, size int) bool { return events > size || keys > maxUnfolded*size }

// Add adds an entry. It keeps nothing of it. index gives each writer's place in
// the table, which are numbered as they come.
func (c *Columns) Add(k Key, rec Record, index func(WriterID) uint64) {
	stem := k
	if len(rec) > 0 && endsWith(k, &rec[0].Writer) {
		stem = k[:len(k)-len(WriterID{})]
		c.numbers[columnNamed].add(1)
	} else {
		c.numbers[columnNamed].add(0)
	}
	s := &c.state
	prefix, suffix := alike(s.stem, stem)
	c.numbers[columnLength].add(uint64(len(stem)))
	c.numbers[columnPrefix].add(uint64(prefix))
	c.numbers[columnSuffix].add(uint64(suffix))
	c.numbers[columnFurther].add(uint64(len(rec)) - 1)
	c.keys = append(c.keys, stem[prefix:len(stem)-suffix]...)
	s.stem = append(s.stem[:prefix], stem[prefix:]...)
	c.keyBytes, c.events = c.keyBytes+len(k), c.events+len(rec)
	for i := range rec {
		c.addEvent(&rec[i], index(rec[i].Writer))
	}
}

func (c *Columns) addEvent(e *Event, writer uint64) {
	b := c.state.of(writer, e.Writer, &c.start)
	c.numbers[columnWriter].add(writer)
	c.numbers[columnSeq].add(zigzag(int64(e.Seq - b.seq)))
	millis, logical := e.Time.stepsFrom(b.time)
	c.numbers[columnMillis].add(millis)
	c.numbers[columnLogical].add(logical)
	*b, c.state.time = stamp{e.Seq, e.Time}, e.Time
	value := uint64(0)
	if !e.Removed {
		value = uint64(len(e.Value)) + 1
		c.addValue(e.Value)
	}
	c.numbers[columnValue].add(value)
	fields := len(c.fields)
	if e.Expires != 0 || len(e.Ext) > 0 {
		c.fields = AppendFields(c.fields, e)
	}
	c.numbers[columnFields].add(uint64(len(c.fields) - fields))
}

func (c *Columns) addValue(v []byte) {
	lead := c.state.leadOf(v)
	c.numbers[columnLead].add(uint64(lead))
	c.values = append(c.values, v[lead:]...)
	c.state.setLead(v)
}

// AppendTo appends the columns, and begins anew.
func (c *Columns) AppendTo(dst []byte) []byte {
	for i := range c.numbers {
		dst = c.numbers[i].appendTo(dst)
	}
	dst = appendCounted(dst, c.keys)
	dst = appendCounted(dst, c.fields)
	dst = appendCounted(dst, c.values)
	c.Reset()
	return dst
}

// Reset forgets the entries.
func (c *Columns) Reset() {
	for i := range c.numbers {
		c.numbers[i].reset()
	}
	c.keys, c.fields, c.values = c.keys[:0], c.fields[:0], c.values[:0]
	s := &c.state
	s.before, s.time, s.stem, s.leads = s.before[:0], c.start.time, s.stem[:0], 0
	c.events, c.keyBytes = 0, 0
}

// of returns what an event of the writer at that place, which is the next one at
// most, is told from.
func (s *columnState) of(place uint64, w WriterID, from *start) *stamp {
	if place == uint64(len(s.before)) {
		s.before = append(s.before, stamp{from.seqs[w], s.time})
	}
	return &s.before[place]
}

// leadOf returns how long the lead of a value is.
func (s *columnState) leadOf(v []byte) int {
	n, most := 0, min(s.leads, len(v))
	if most == maxLead && binary.LittleEndian.Uint64(s.lead[:]) == binary.LittleEndian.Uint64(v) {
		n = 8
	}
	for n < most && s.lead[n] == v[n] {
		n++
	}
	if n < minLead {
		return 0
	}
	return n
}

func (s *columnState) setLead(v []byte) { s.leads = copy(s.lead[:], v) }

// endsWith reports whether a key ends with a writer's id.
func endsWith(k Key, w *WriterID) bool {
	n := len(k) - len(w)
	return n >= 0 && k[len(k)-1] == w[len(w)-1] && string(k[n:]) == string(w[:])
}

// alike returns how many bytes two keys begin with alike, and with how many of
// those behind them they end alike.
func alike(a []byte, b Key) (prefix, suffix int) {
	n := min(len(a), len(b))
	for prefix < n && a[prefix] == b[prefix] {
		prefix++
	}
	for suffix < n-prefix && a[len(a)-1-suffix] == b[len(b)-1-suffix] {
		suffix++
	}
	return prefix, suffix
}
