package crdt

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A column of numbers, as Columns and a Delta have them:
//
//	column = *(number *repeated) | nothing, if all numbers are 0
//	number = uvarint (LEB128), in its shortest form
//
// Behind two equal numbers stands how many more of the same follow. So a
// column of one number throughout takes some four bytes, and one of which no two
// neighbours are equal costs nothing more than its numbers.
type column struct {
	bytes []byte
	last  uint64
	same  uint64 // how many in a row are last
	set   uint64 // of all numbers, the bits that are set in one
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
	c.set |= u
}

// end ends the repetition that is under way.
func (c *column) end() {
	if c.same > 1 {
		c.bytes = binary.AppendUvarint(c.bytes, c.same-2)
	}
	c.same = 0
}

// size returns how many bytes the column takes if it ends here.
func (c *column) size() int {
	switch {
	case c.set == 0:
		return 0
	case c.same > 1:
		return len(c.bytes) + uvarintSize(c.same-2)
	}
	return len(c.bytes)
}

// appendTo appends how many bytes there are, and those, and begins anew.
func (c *column) appendTo(dst []byte) []byte {
	if c.end(); c.set == 0 {
		c.reset()
	}
	dst = appendCounted(dst, c.bytes)
	c.reset()
	return dst
}

func (c *column) reset() { c.bytes, c.same, c.set = c.bytes[:0], 0, 0 }

// columnReader reads what column wrote, and was measured. Whatever there is to
// read, a number comes.
type columnReader struct {
	buf  []byte
	at   int // buf[:at] was read: pointers are not moved, which costs more
	last uint64
	more uint64 // how many more of last follow
	seen bool   // last was read, and may come again
}

// newColumnReader returns a reader of a column.
func newColumnReader(buf []byte) columnReader {
	c := columnReader{buf: buf}
	if len(buf) == 0 {
		c.more = math.MaxUint64 // zeros
	}
	return c
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
	if c.seen && u == c.last {
		c.more, c.seen = c.number(), false // what follows those is another number
	} else {
		c.last, c.seen = u, true
	}
	return u
}

func (c *columnReader) number() uint64 {
	if c.at < len(c.buf) && c.buf[c.at] < 0x80 { // as most are
		c.at++
		return uint64(c.buf[c.at-1])
	}
	u, n := binary.Uvarint(c.buf[c.at:])
	c.at += max(n, 0)
	return u
}

// measure is what is known of a column before a number of it is used.
type measure struct {
	count, zeros uint64 // how many numbers there are, and how many are 0
	sum          uint64 // of them, 2^64-1 at most
}

// measure returns the measure of a column that has count numbers if it is
// empty; ok is false if it is not as a column is written. It takes time by the
// bytes, however many numbers they stand for.
func (c *columnReader) measure(count uint64) (m measure, ok bool) {
	if len(c.buf) == 0 {
		return measure{count: count, zeros: count}, true
	}
	repeated, set := false, uint64(0)
	for at, last := 0, uint64(0); at < len(c.buf); {
		u, n := shortest(c.buf[at:])
		if at += n; n == 0 || repeated && u == last {
			return m, false
		}
		times := uint64(1)
		if repeated = m.count > 0 && u == last && !repeated; repeated {
			more, n := shortest(c.buf[at:])
			if at += n; n == 0 || more > math.MaxUint32 { // far more than are allowed
				return m, false
			}
			times += more
		}
		last, set = u, set|u
		m.add(u, times)
	}
	return m, set != 0
}

func (m *measure) add(u, times uint64) {
	if m.count += times; u == 0 {
		m.zeros += times
	}
	over, product := bits.Mul64(u, times)
	sum, carry := bits.Add64(m.sum, product, 0)
	if m.sum = sum; over|carry != 0 {
		m.sum = math.MaxUint64
	}
}

// shortest reads a uvarint in its shortest form; n is 0 if there is none.
func shortest(b []byte) (u uint64, n int) {
	u, n = binary.Uvarint(b)
	if n <= 0 || n != uvarintSize(u) {
		return 0, 0
	}
	return u, n
}

func uvarintSize(u uint64) int { return max(1, (bits.Len64(u)+6)/7) }

// zigzag maps numbers with a sign to those without, small ones to small ones.
func zigzag(i int64) uint64 { return uint64(i)<<1 ^ uint64(i>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// appendCounted appends how many bytes there are, as uvarint, and those.
func appendCounted(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// text is what is read piece by piece.
type text struct {
	buf []byte
	at  int
}

func (t *text) left() uint64 { return uint64(len(t.buf) - t.at) }

// take returns the next n bytes, which are there.
func (t *text) take(n uint64) []byte {
	b := t.buf[t.at : t.at+int(n) : t.at+int(n)]
	t.at += int(n)
	return b
}

// uvarint reads a uvarint in its shortest form.
func (r *Reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	u, n := shortest(r.buf[r.pos:])
	if n == 0 {
		r.Fail("expected a uvarint in its shortest form")
	}
	r.pos += n
	return u
}

// counted reads what appendCounted wrote. It aliases the input.
func (r *Reader) counted() []byte {
	n := r.uvarint()
	if r.err == nil && n > uint64(len(r.buf)-r.pos) {
		r.Fail("input ends early")
	}
	if r.err != nil {
		return nil
	}
	return r.take(int(n))
}
