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
	switch c := r.code(); {
	case c < 0x80:
		return uint64(c)
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

// Raw reads one whole element of any kind, well formed and at most MaxDepth
// deep, and returns its bytes, which alias the input. Elements inside need
// not be canonical.
func (r *Reader) Raw() []byte {
	start := r.pos
	r.skip(0)
	if r.err != nil {
		return nil
	}
	return r.buf[start:r.pos:r.pos]
}

func (r *Reader) skip(depth int) {
	c := r.code()
	if r.err != nil {
		return
	}
	if fixed, ok := scalarSize(c); ok {
		r.take(fixed)
		return
	}
	n, each := r.skipHeader(c)
	if each == 0 {
		r.body(n, len(r.buf))
		return
	}
	if depth == MaxDepth {
		r.Fail(fmt.Sprintf("nested deeper than %d", MaxDepth))
	}
	if r.err == nil && n > uint64(len(r.buf)-r.pos)/each {
		r.Fail("more elements than the input could hold")
	}
	for i := uint64(0); i < n*each && r.err == nil; i++ {
		r.skip(depth + 1)
	}
}

// scalarSize returns how many bytes follow the code of an element of fixed
// size.
func scalarSize(c byte) (int, bool) {
	switch {
	case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
		return 0, true
	case c >= 0xa0 && c < 0xc0:
		return int(c & 0x1f), true
	case c == 0xca:
		return 4, true
	case c == 0xcb:
		return 8, true
	case c >= 0xcc && c <= 0xcf:
		return 1 << (c - 0xcc), true
	case c >= 0xd0 && c <= 0xd3:
		return 1 << (c - 0xd0), true
	case c >= 0xd4 && c <= 0xd8:
		return 1 + 1<<(c-0xd4), true
	}
	return 0, false
}

// skipHeader reads the length after a code: of bytes where each is 0, else of
// groups of each elements.
func (r *Reader) skipHeader(c byte) (n, each uint64) {
	width := func(b []byte) uint64 {
		switch len(b) {
		case 1:
			return uint64(b[0])
		case 2:
			return uint64(binary.BigEndian.Uint16(b))
		case 4:
			return uint64(binary.BigEndian.Uint32(b))
		}
		return 0 // take failed, and said so
	}
	switch {
	case c&0xf0 == 0x80:
		return uint64(c & 0x0f), 2
	case c&0xf0 == 0x90:
		return uint64(c & 0x0f), 1
	case c >= 0xc4 && c <= 0xc6:
		return width(r.take(1 << (c - 0xc4))), 0
	case c >= 0xc7 && c <= 0xc9:
		return width(r.take(1<<(c-0xc7))) + 1, 0
	case c >= 0xd9 && c <= 0xdb:
		return width(r.take(1 << (c - 0xd9))), 0
	case c == 0xdc, c == 0xdd:
		return width(r.take(2 << (c - 0xdc))), 1
	case c == 0xde, c == 0xdf:
		return width(r.take(2 << (c - 0xde))), 2
	}
	r.pos--
	r.Fail("byte that starts no element")
	return 0, 0
}
