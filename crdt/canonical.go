package crdt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Canonical returns the canonical encoding of the one msgpack element in b,
// in memory of its own: integers and lengths in their shortest form, map
// pairs ordered by their encoded keys, timestamps in 96 bits, and floats as
// they are, bit for bit and at their width. Values that are equal element by
// element are equal bytes.
//
// Refused, with an error that wraps ErrValue: bytes that are not well formed,
// or nested deeper than MaxDepth, a map key that comes twice, and extension
// types other than the timestamp.
func Canonical(b []byte) (Raw, error) {
	r := NewReader(b)
	dst := appendElement(make([]byte, 0, len(b)), r, 0)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return dst, nil
}

// appendElement appends the canonical form of the next element of r.
func appendElement(dst []byte, r *Reader, depth int) []byte {
	if depth > MaxDepth {
		r.Fail(fmt.Sprintf("nested deeper than %d", MaxDepth))
		return dst
	}
	c := r.code()
	if r.err != nil {
		return dst
	}
	switch {
	case c >= 0xcc && c <= 0xcf:
		return AppendUint(dst, bigEndian(r.take(1<<(c-0xcc))))
	case c >= 0xd0 && c <= 0xd3:
		return AppendInt(dst, signed(r.take(1<<(c-0xd0))))
	case c >= 0xd4 && c <= 0xd8:
		return appendTimestamp(dst, r, 1<<(c-0xd4))
	}
	if size, ok := scalarSize(c); ok {
		return append(append(dst, c), r.take(size)...)
	}
	n, each := r.skipHeader(c)
	if each > 0 && n > uint64(len(r.buf)-r.pos)/each {
		r.Fail("more elements than the input could hold")
	}
	switch {
	case r.err != nil:
		return dst
	case c >= 0xc7 && c <= 0xc9:
		return appendTimestamp(dst, r, n-1)
	case c >= 0xc4 && c <= 0xc6:
		return AppendBytes(dst, r.body(n, len(r.buf)))
	case each == 0:
		return AppendString(dst, string(r.body(n, len(r.buf))))
	case each == 2:
		return appendPairs(AppendMap(dst, int(n)), r, int(n), depth+1)
	}
	dst = AppendArray(dst, int(n))
	for i := uint64(0); i < n && r.err == nil; i++ {
		dst = appendElement(dst, r, depth+1)
	}
	return dst
}

// appendPairs appends the canonical form of the next n pairs of r, ordered.
func appendPairs(dst []byte, r *Reader, n, depth int) []byte {
	base := len(dst)
	pairs := make([]struct{ key, value, end int }, n) // offsets from base
	for i := 0; i < n && r.err == nil; i++ {
		pairs[i].key = len(dst) - base
		dst = appendElement(dst, r, depth)
		pairs[i].value = len(dst) - base
		dst = appendElement(dst, r, depth)
		pairs[i].end = len(dst) - base
	}
	if r.err != nil {
		return dst
	}
	body := dst[base:]
	byKey := func(a, b struct{ key, value, end int }) int {
		return bytes.Compare(body[a.key:a.value], body[b.key:b.value])
	}
	if !slices.IsSortedFunc(pairs, byKey) {
		slices.SortFunc(pairs, byKey)
		body = slices.Clone(body)
		dst = dst[:base]
		for _, p := range pairs {
			dst = append(dst, body[p.key:p.end]...)
		}
	}
	for i := 1; i < n; i++ {
		if byKey(pairs[i-1], pairs[i]) == 0 {
			r.Fail("map with one key twice")
		}
	}
	return dst
}

// A timestamp is extension type -1. msgpack knows three forms of it, and all
// become the longest, array(nanoseconds uint32, seconds int64). That is not
// for beauty: where vmihailenco/msgpack v5.4.1 wants a map and finds an
// extension, it goes on to read a map's length from the extension's body. The
// first byte of the long form is a high byte of nanoseconds, under 0x3c, which
// is never taken for one.
const (
	timestampType  = 0xff
	timestampBytes = 12
	maxNanos       = 999_999_999
)

// appendTimestamp reads the type and the n bytes of an extension.
func appendTimestamp(dst []byte, r *Reader, n uint64) []byte {
	if t := r.code(); r.err == nil && t != timestampType {
		r.Fail(fmt.Sprintf("extension of type %d", int8(t)))
	}
	var secs, nanos uint64
	switch b := r.body(n, timestampBytes); len(b) {
	case 4:
		secs = bigEndian(b)
	case 8:
		secs, nanos = bigEndian(b)&(1<<34-1), bigEndian(b)>>34
	case timestampBytes:
		secs, nanos = bigEndian(b[4:]), bigEndian(b[:4])
	default:
		r.Fail(fmt.Sprintf("timestamp of %d bytes", n))
	}
	if nanos > maxNanos {
		r.Fail(fmt.Sprintf("timestamp with %d nanoseconds", nanos))
	}
	if r.err != nil {
		return dst
	}
	return appendTime(dst, int64(secs), uint32(nanos))
}

// appendTime appends the canonical timestamp.
func appendTime(dst []byte, secs int64, nanos uint32) []byte {
	dst = append(dst, 0xc7, timestampBytes, timestampType)
	dst = binary.BigEndian.AppendUint32(dst, nanos)
	return binary.BigEndian.AppendUint64(dst, uint64(secs))
}

// bigEndian reads an unsigned number of 0 to 8 bytes.
func bigEndian(b []byte) (u uint64) {
	for _, c := range b {
		u = u<<8 | uint64(c)
	}
	return u
}

// signed reads a number of 0 to 8 bytes with a sign.
func signed(b []byte) int64 {
	shift := 64 - 8*len(b)
	return int64(bigEndian(b)<<shift) >> shift
}
