package protocol

import (
	"encoding/binary"
	"math/bits"
)

// A column of numbers, as Columns has them (columns.go):
//
//	column = *(number *repeated)
//	number = uvarint (LEB128), in its shortest form
//
// Behind two equal numbers stands how many more of the same follow. So a
// column of one number throughout takes some four bytes, and one of which no two
// neighbours are equal costs nothing more than its numbers.
type column struct {
	bytes []byte
	last  uint64
	same  uint64 // how many in a row are last
}

// add adds a number.
func (c *column) add(u uint64) {
	if c.same > 1 && u == c.last {
		c.same++
		return
	}
	c.write(u)
}

func (c *column) write(u uint64) {
	if c.same != 1 || u != c.last {
		c.end()
	}
	if u < 0x80 { // as most are
		c.bytes = append(c.bytes, byte(u))
	} else {
		c.bytes = binary.AppendUvarint(c.bytes, u)
	}
	c.last = u
	c.same++
}

// end ends the repetition that is under way.
func (c *column) end() {
	if c.same > 1 {
		c.bytes = binary.AppendUvarint(c.bytes, c.same-2)
	}
	c.same = 0
}

func (c *column) reset() { c.bytes, c.same = c.bytes[:0], 0 }

// columnReader reads what column wrote. Whatever there is to read, a number
// comes; bad says that what came is not what a column writes.
type columnReader struct {
	buf  []byte
	at   int // buf[:at] was read: pointers are not moved, which costs more
	last uint64
	more uint64 // how many more of last follow
	seen uint8  // of last, up to 2
	bad  bool
}

// next returns the next number.
func (c *columnReader) next() uint64 {
	if c.more > 0 {
		c.more--
		return c.last
	}
	return c.read()
}

func (c *columnReader) read() uint64 {
	u := c.number()
	switch {
	case c.seen == 0 || u != c.last:
		c.last, c.seen = u, 1
	case c.seen == 1:
		c.more, c.seen = c.number(), 2
	default: // it was to be counted as repeated
		c.bad = true
	}
	return u
}

func (c *columnReader) number() uint64 {
	if c.at < len(c.buf) && c.buf[c.at] < 0x80 { // as most are
		c.at++
		return uint64(c.buf[c.at-1])
	}
	u, n := binary.Uvarint(c.buf[c.at:])
	if n <= 0 || n != max(1, (bits.Len64(u)+6)/7) {
		c.bad = true
		return 0
	}
	c.at += n
	return u
}

// done reports whether the column was read to its end, and was one.
func (c *columnReader) done() bool { return !c.bad && c.at == len(c.buf) && c.more == 0 }

// zigzag maps numbers with a sign to those without, small ones to small ones.
func zigzag(i int64) uint64 { return uint64(i)<<1 ^ uint64(i>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
