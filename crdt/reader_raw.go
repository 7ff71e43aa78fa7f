package crdt

import (
	"encoding/binary"
	"fmt"
)

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
