package crdt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ToJSON returns a value as one line of JSON text. FromJSON reads it back to
// the same bytes if v is canonical, since what JSON has no word for is marked:
// {"$bytes": "base64"} and the others that the top of json.go lists. Object
// members are ordered by their keys. Errors wrap ErrValue.
func ToJSON(v Raw) ([]byte, error) {
	canon, err := Canonical(v)
	if err != nil {
		return nil, err
	}
	r := NewReader(canon)
	text := appendText(nil, r)
	if err := r.Done(); err != nil {
		panic("crdt: canonical bytes do not read: " + err.Error())
	}
	return text, nil
}

// appendText appends the next element of r, which is canonical.
func appendText(dst []byte, r *Reader) []byte {
	rest := r.Rest()
	switch shapeOf(rest) {
	case shapeNil:
		r.Nil()
		return append(dst, "null"...)
	case shapeBool:
		return strconv.AppendBool(dst, r.Bool())
	case shapeInt:
		x, _ := parseNumber(r.Raw())
		if u, ok := x.uint64(); ok {
			return strconv.AppendUint(dst, u, 10)
		}
		return strconv.AppendInt(dst, x.i, 10)
	case shapeFloat:
		return appendFloatText(dst, r.Raw())
	case shapeString:
		s := r.String(len(rest))
		if !utf8.ValidString(s) {
			return appendBase64(dst, markString, []byte(s))
		}
		return appendQuoted(dst, s)
	case shapeBytes:
		return appendBase64(dst, markBytes, r.Bytes(len(rest)))
	case shapeTime:
		b := r.Raw()[3:]
		return fmt.Appendf(dst, `{%q:[%d,%d]}`, markTime, int64(bigEndian(b[4:])), bigEndian(b[:4]))
	case shapeArray:
		dst = append(dst, '[')
		for i := range r.Array(len(rest)) {
			dst = appendText(appendComma(dst, i), r)
		}
		return append(dst, ']')
	}
	return appendMapText(dst, r)
}

func appendComma(dst []byte, i int) []byte {
	if i == 0 {
		return dst
	}
	return append(dst, ',')
}

func appendMapText(dst []byte, r *Reader) []byte {
	pairs := make([]mapPair, r.Map(len(r.Rest())))
	for i := range pairs {
		pairs[i] = mapPair{r.Raw(), appendText(nil, r)}
	}
	return appendPairsText(dst, pairs)
}

// mapPair is a pair of a map, its key as msgpack and its value in the form
// that the map is to have: as JSON text, or as msgpack too.
type mapPair struct {
	key   Raw
	value []byte
}

// appendPairsText appends a map as an object if its keys allow it, and orders
// the pairs: those of an object by their text, else as in canonical bytes.
func appendPairsText(dst []byte, pairs []mapPair) []byte {
	if slices.ContainsFunc(pairs, func(p mapPair) bool { return !isPlainKey(p.key) }) {
		slices.SortFunc(pairs, func(a, b mapPair) int { return bytes.Compare(a.key, b.key) })
		dst = append(dst, `{"`+markMap+`":[`...)
		for i, p := range pairs {
			dst = append(appendText(append(appendComma(dst, i), '['), NewReader(p.key)), ',')
			dst = append(append(dst, p.value...), ']')
		}
		return append(dst, "]}"...)
	}
	slices.SortFunc(pairs, func(a, b mapPair) int { return strings.Compare(a.key.text(), b.key.text()) })
	dst = append(dst, '{')
	for i, p := range pairs {
		dst = append(appendQuoted(appendComma(dst, i), p.key.text()), ':')
		dst = append(dst, p.value...)
	}
	return append(dst, '}')
}

// text returns the string that r holds, or "".
func (r Raw) text() string { return NewReader(r).String(len(r)) }

func isPlainKey(key Raw) bool {
	return shapeOf(key) == shapeString && utf8.ValidString(key.text()) && !isMark(key.text())
}

// appendQuoted appends a JSON string; unlike json.Marshal it leaves <, > and
// & as they are.
func appendQuoted(dst []byte, s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("crdt: a string does not encode as JSON: " + err.Error())
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

func appendBase64(dst []byte, mark string, b []byte) []byte {
	return fmt.Appendf(dst, `{%q:%q}`, mark, base64.StdEncoding.EncodeToString(b))
}

// appendFloatText appends a float of either width.
func appendFloatText(dst []byte, b Raw) []byte {
	x, _ := parseNumber(b)
	width := 8 * (len(b) - 1)
	var text string
	if math.IsNaN(x.f) || math.IsInf(x.f, 0) {
		text = strconv.Quote(specialFloat(bigEndian(b[1:]), width))
	} else {
		text = strconv.FormatFloat(x.f, 'g', -1, width)
		if !strings.ContainsAny(text, ".e") {
			text += ".0" // else it would come back as an integer
		}
	}
	switch {
	case width == 32:
		return fmt.Appendf(dst, `{%q:%s}`, markFloat32, text)
	case text[0] == '"':
		return fmt.Appendf(dst, `{%q:%s}`, markFloat, text)
	}
	return append(dst, text...)
}

// specialFloats yields the floats that have a name in JSON text, as bits.
func specialFloats(width int) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		nan, inf, sign := uint64(0x7ff8000000000001), uint64(0x7ff0000000000000), uint64(1<<63)
		if width == 32 {
			nan, inf, sign = 0x7fc00000, 0x7f800000, 1<<31
		}
		_ = yield("NaN", nan) && yield("Infinity", inf) && yield("-Infinity", inf|sign)
	}
}

// specialFloat returns the name of a float, or its bits in hex.
func specialFloat(bits uint64, width int) string {
	for name, b := range specialFloats(width) {
		if b == bits {
			return name
		}
	}
	return fmt.Sprintf("%0*x", width/4, bits)
}
