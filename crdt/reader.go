package crdt

import (
	"encoding/binary"
	"fmt"
	"math"
)

// FormatError says where bytes stop being what they should be.
type FormatError struct {
	// Offset is where in the input the offending element starts, in bytes.
	Offset int
	// What names what is wrong there.
	What string
}

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("malformed encoding at byte %d: %s", e.Offset, e.What)
}

// Reader reads canonical msgpack from bytes that nobody vouches for. It never
// allocates by a length that the input declares, never recurses deeper than
// MaxDepth and never panics. The first error sticks: every later read returns
// a zero value, so a decoder checks Err once, at its end. What Bytes and Raw
// return aliases the input. Not safe for concurrent use.
type Reader struct {
	buf []byte
	pos int
	err error
}

// NewReader returns a Reader of buf.
func NewReader(buf []byte) *Reader { return &Reader{buf: buf} }

// Reset makes r read buf from its start and forgets the error.
func (r *Reader) Reset(buf []byte) { *r = Reader{buf: buf} }

// Err returns the first error, a *FormatError, or nil.
func (r *Reader) Err() error { return r.err }

// Fail records an error at the current position, unless there is one already.
func (r *Reader) Fail(what string) {
	if r.err == nil {
		r.err = &FormatError{Offset: r.pos, What: what}
	}
}

// More reports whether there is something left to read and no error.
func (r *Reader) More() bool { return r.err == nil && r.pos < len(r.buf) }

// Rest returns what is left, unread.
func (r *Reader) Rest() []byte { return r.buf[r.pos:] }

// Done returns the first error; bytes that are left over are one.
func (r *Reader) Done() error {
	if r.err == nil && r.pos != len(r.buf) {
		r.Fail("trailing bytes")
	}
	return r.err
}

// take returns the next n bytes.
func (r *Reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.buf)-r.pos {
		r.Fail("input ends early")
		return nil
	}
	b := r.buf[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b
}

func (r *Reader) code() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0xc1 // never a valid first byte; an error is recorded already
}

// unexpected records that the code read last starts no want. The code is put
// back, so that the error names its place.
func (r *Reader) unexpected(want string) {
	if r.err == nil {
		r.pos--
		r.Fail("expected " + want)
	}
}

// sized reads a big-endian number of n bytes that must be at least least:
// a smaller one has a shorter form.
func (r *Reader) sized(n int, least uint64) uint64 {
	b := r.take(n)
	if b == nil {
		return 0
	}
	var u uint64
	for _, c := range b {
		u = u<<8 | uint64(c)
	}
	if u < least {
		r.pos -= n
		r.Fail("number not in its shortest form")
		return 0
	}
	return u
}

// Nil reports whether the next element is nil, and reads it if so.
func (r *Reader) Nil() bool {
	if r.More() && r.buf[r.pos] == 0xc0 {
		r.pos++
		return true
	}
	return false
}

// Bool reads a boolean.
func (r *Reader) Bool() bool {
	switch r.code() {
	case 0xc3:
		return true
	case 0xc2:
		return false
	}
	r.unexpected("a boolean")
	return false
}

// Uint reads an unsigned integer.
func (r *Reader) Uint() uint64 {
	if rest := r.buf[r.pos:]; r.err == nil && len(rest) > 0 {
		c, u, least, n := rest[0], uint64(0), uint64(0), 0
		switch {
		case c < 0x80:
			r.pos++
			return uint64(c)
		case c == 0xcc && len(rest) > 1:
			u, least, n = uint64(rest[1]), 1<<7, 2
		case c == 0xcd && len(rest) > 2:
			u, least, n = uint64(binary.BigEndian.Uint16(rest[1:])), 1<<8, 3
		case c == 0xce && len(rest) > 4:
			u, least, n = uint64(binary.BigEndian.Uint32(rest[1:])), 1<<16, 5
		case c == 0xcf && len(rest) > 8:
			u, least, n = binary.BigEndian.Uint64(rest[1:]), 1<<32, 9
		}
		if n > 0 && u >= least {
			r.pos += n
			return u
		}
	}
	return r.failUint()
}

// failUint says why there is no unsigned integer.
func (r *Reader) failUint() uint64 {
	switch c := r.code(); {
	case c == 0xcc:
		return r.sized(1, 1<<7)
	case c == 0xcd:
		return r.sized(2, 1<<8)
	case c == 0xce:
		return r.sized(4, 1<<16)
	case c == 0xcf:
		return r.sized(8, 1<<32)
	}
	r.unexpected("an unsigned integer")
	return 0
}

// Int reads an integer that fits 64 bits with a sign.
func (r *Reader) Int() int64 {
	if !r.More() {
		r.Fail("input ends early")
		return 0
	}
	c := r.buf[r.pos]
	if c < 0x80 || (c >= 0xcc && c <= 0xcf) {
		u := r.Uint()
		if u > math.MaxInt64 {
			r.Fail("integer over 63 bits")
			return 0
		}
		return int64(u)
	}
	r.pos++
	switch {
	case c >= 0xe0:
		return int64(int8(c))
	case c == 0xd0:
		return r.negative(int64(int8(r.sized(1, 0))), -1<<5)
	case c == 0xd1:
		return r.negative(int64(int16(r.sized(2, 0))), -1<<7)
	case c == 0xd2:
		return r.negative(int64(int32(r.sized(4, 0))), -1<<15)
	case c == 0xd3:
		return r.negative(int64(r.sized(8, 0)), -1<<31)
	}
	r.unexpected("an integer")
	return 0
}

// negative refuses what a shorter form could have held.
func (r *Reader) negative(i, shorter int64) int64 {
	if r.err == nil && i >= shorter {
		r.Fail("integer not in its shortest form")
		return 0
	}
	return i
}

// Float reads a 64-bit float, bit for bit.
func (r *Reader) Float() float64 {
	if r.code() != 0xcb {
		r.unexpected("a 64-bit float")
		return 0
	}
	return math.Float64frombits(r.sized(8, 0))
}

// String reads a string of at most limit bytes.
func (r *Reader) String(limit int) string {
	var n uint64
	switch c := r.code(); {
	case c >= 0xa0 && c < 0xc0:
		n = uint64(c & 0x1f)
	case c == 0xd9:
		n = r.sized(1, 1<<5)
	case c == 0xda:
		n = r.sized(2, 1<<8)
	case c == 0xdb:
		n = r.sized(4, 1<<16)
	default:
		r.unexpected("a string")
	}
	return string(r.body(n, limit))
}

// Bytes reads a byte string of at most limit bytes; it aliases the input.
func (r *Reader) Bytes(limit int) []byte {
	if rest := r.buf[r.pos:]; r.err == nil && len(rest) > 1 && rest[0] == 0xc4 { // most are short
		if n := int(rest[1]); n <= limit && n <= len(rest)-2 {
			r.pos += 2 + n
			return rest[2 : 2+n : 2+n]
		}
	}
	var n uint64
	switch r.code() {
	case 0xc4:
		n = r.sized(1, 0)
	case 0xc5:
		n = r.sized(2, 1<<8)
	case 0xc6:
		n = r.sized(4, 1<<16)
	default:
		r.unexpected("a byte string")
	}
	return r.body(n, limit)
}

func (r *Reader) body(n uint64, limit int) []byte {
	if r.err == nil && n > uint64(limit) {
		r.Fail(fmt.Sprintf("%d bytes where at most %d are allowed", n, limit))
	}
	if r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// Fixed reads a byte string of exactly len(dst) bytes into dst.
func (r *Reader) Fixed(dst []byte) {
	b := r.Bytes(len(dst))
	if r.err == nil && len(b) != len(dst) {
		r.Fail(fmt.Sprintf("%d bytes where %d are needed", len(b), len(dst)))
		return
	}
	copy(dst, b)
}

// Writer reads a writer's id.
func (r *Reader) Writer() (w WriterID) {
	r.Fixed(w[:])
	return w
}

// Node reads a node's id.
func (r *Reader) Node() (n NodeID) {
	r.Fixed(n[:])
	return n
}

// Array reads the header of an array of at most limit elements. An element
// takes a byte at least, so a length beyond what is left is refused: the
// caller may allocate by the result.
func (r *Reader) Array(limit int) int { return r.header(0x90, 0xdc, 1, limit, "an array") }

// Map reads the header of a map of at most limit pairs.
func (r *Reader) Map(limit int) int { return r.header(0x80, 0xde, 2, limit, "a map") }

func (r *Reader) header(fix, wide byte, each, limit int, want string) int {
	if rest := r.buf[r.pos:]; r.err == nil && len(rest) > 0 && rest[0]&0xf0 == fix {
		if n := int(rest[0] & 0x0f); n <= limit && n*each < len(rest) {
			r.pos++
			return n
		}
	}
	var n uint64
	switch c := r.code(); {
	case c&0xf0 == fix:
		n = uint64(c & 0x0f)
	case c == wide:
		n = r.sized(2, 1<<4)
	case c == wide+1:
		n = r.sized(4, 1<<16)
	default:
		r.unexpected(want)
	}
	if r.err == nil && n > uint64(limit) {
		r.Fail(fmt.Sprintf("%d elements where at most %d are allowed", n, limit))
	}
	if r.err == nil && n > uint64(len(r.buf)-r.pos)/uint64(each) {
		r.Fail("more elements than the input could hold")
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}
