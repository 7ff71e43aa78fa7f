package crdt

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON and msgpack values translate without loss, either way round:
//
//	nil, booleans         null, true, false
//	integers              numbers without point and exponent; at most 64 bits
//	64-bit floats         numbers with a point or an exponent
//	  that JSON lacks     {"$float": "NaN"}, "Infinity", "-Infinity", or the
//	                      bits of another NaN as 16 hex digits
//	32-bit floats         {"$float32": number, or as above with 8 digits}
//	strings               strings
//	  that are not UTF-8  {"$string": "base64"}
//	byte strings          {"$bytes": "base64"}
//	timestamps            {"$time": [seconds since 1970, nanoseconds]}
//	arrays                arrays
//	maps                  objects
//	  with other keys     {"$map": [[key, value], ...]}: keys that are not
//	                      UTF-8 strings, or are one of these six marks
//
// An object with a mark and other keys is refused.
const (
	markFloat   = "$float"
	markFloat32 = "$float32"
	markString  = "$string"
	markBytes   = "$bytes"
	markTime    = "$time"
	markMap     = "$map"
)

func isMark(key string) bool {
	switch key {
	case markFloat, markFloat32, markString, markBytes, markTime, markMap:
		return true
	}
	return false
}

// maxJSONDepth bounds the nesting of JSON text: a level of msgpack takes at
// most three of JSON ({"$map": [[...]]}), and one more lets Canonical be who
// refuses what is too deep.
const maxJSONDepth = 4 * MaxDepth

// FromJSON returns the canonical value of a JSON text. Refused, with an error
// that wraps ErrValue: what is not JSON, not UTF-8, nested deeper than
// MaxDepth, has a key twice, an integer beyond 64 bits, half of a surrogate pair
// (RFC 8259, section 8.2), or a misused mark (see ToJSON).
func FromJSON(text []byte) (Raw, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: JSON text that is not UTF-8", ErrValue)
	}
	// The decoder's tokens alone would let some malformed text through.
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		return nil, fmt.Errorf("%w: not JSON: %w", ErrValue, err)
	}
	if half := loneSurrogate(text); half != "" {
		return nil, fmt.Errorf("%w: %s in a string is half of a pair, and no character", ErrValue, half)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	node, err := parseJSON(d, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	b, err := appendNode(nil, node)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return Canonical(b)
}

// loneSurrogate returns the first escape in a JSON text that is half of a
// surrogate pair without the other half, or "". The decoder would put U+FFFD in
// its place.
func loneSurrogate(text []byte) string {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		first, ok := escapedUnit(text[i:])
		second, two := escapedUnit(text[min(i+unitBytes, len(text)):])
		switch {
		case !ok:
			i++ // the byte that is escaped
		case !utf16.IsSurrogate(first):
			i += unitBytes - 1
		case !two || utf16.DecodeRune(first, second) == unicode.ReplacementChar:
			return string(text[i : i+unitBytes])
		default:
			i += 2*unitBytes - 1
		}
	}
	return ""
}

// unitBytes is the size of an escape such as \u00e9.
const unitBytes = 6

// escapedUnit returns the UTF-16 unit of the escape that text begins with.
func escapedUnit(text []byte) (rune, bool) {
	if len(text) < unitBytes || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:unitBytes]), 16, 16)
	return rune(unit), err == nil
}

// member is a member of a JSON object; objects are []member, so that none is
// lost or reordered before Canonical sees it.
type member struct {
	key   string
	value any
}

// parseJSON returns the next value: nil, bool, json.Number, string, []any or
// []member.
func parseJSON(d *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("JSON nested deeper than %d", maxJSONDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, noEOF(err)
	}
	switch tok {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, noEOF(err)
	case json.Delim('{'):
		object := []member{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, noEOF(err)
			}
			v, err := parseJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			object = append(object, member{key.(string), v})
		}
		_, err = d.Token()
		return object, noEOF(err)
	}
	return tok, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendNode appends the msgpack form of what parseJSON returned, map pairs
// as they came.
func appendNode(dst []byte, node any) ([]byte, error) {
	switch x := node.(type) {
	case bool:
		return AppendBool(dst, x), nil
	case string:
		return AppendString(dst, x), nil
	case json.Number:
		return appendJSONNumber(dst, x.String())
	case []any:
		dst = AppendArray(dst, len(x))
		return appendNodes(dst, x...)
	case []member:
		return appendObject(dst, x)
	}
	return AppendNil(dst), nil
}

func appendNodes(dst []byte, nodes ...any) (_ []byte, err error) {
	for _, n := range nodes {
		if dst, err = appendNode(dst, n); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendJSONNumber(dst []byte, s string) ([]byte, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, fmt.Errorf("number %.40s does not fit a 64-bit float", s)
		}
		return AppendFloat(dst, f), nil
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return AppendInt(dst, i), nil
	}
	u, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("integer %.40s does not fit 64 bits", s)
	}
	return AppendUint(dst, u), nil
}

func appendObject(dst []byte, object []member) (_ []byte, err error) {
	if len(object) == 1 && isMark(object[0].key) {
		dst, ok := appendMarked(dst, object[0])
		if !ok {
			return nil, fmt.Errorf("%s with a value that it does not take", object[0].key)
		}
		return dst, nil
	}
	dst = AppendMap(dst, len(object))
	for _, m := range object {
		if isMark(m.key) {
			return nil, fmt.Errorf("%s beside other keys", m.key)
		}
		if dst, err = appendNode(AppendString(dst, m.key), m.value); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// appendMarked appends what {mark: value} stands for, and reports whether it
// stands for anything.
func appendMarked(dst []byte, m member) ([]byte, bool) {
	switch m.key {
	case markFloat: // bits are appended as bits: no register may quiet a NaN
		bits, ok := parseFloatBits(m.value, 64)
		return binary.BigEndian.AppendUint64(append(dst, 0xcb), bits), ok
	case markFloat32:
		bits, ok := parseFloatBits(m.value, 32)
		return binary.BigEndian.AppendUint32(append(dst, 0xca), uint32(bits)), ok
	case markTime:
		return appendMarkedTime(dst, m.value)
	case markMap:
		return appendMarkedMap(dst, m.value)
	}
	s, ok := m.value.(string)
	b, err := base64.StdEncoding.DecodeString(s)
	if m.key == markString {
		return AppendString(dst, string(b)), ok && err == nil
	}
	return AppendBytes(dst, b), ok && err == nil
}

// parseFloatBits returns the bits of a float of the given width.
func parseFloatBits(node any, width int) (uint64, bool) {
	switch x := node.(type) {
	case json.Number:
		f, err := strconv.ParseFloat(x.String(), width)
		if width == 32 {
			return uint64(math.Float32bits(float32(f))), err == nil
		}
		return math.Float64bits(f), err == nil
	case string:
		for name, bits := range specialFloats(width) {
			if name == x {
				return bits, true
			}
		}
		bits, err := strconv.ParseUint(x, 16, width)
		return bits, err == nil && len(x) == width/4
	}
	return 0, false
}

func appendMarkedTime(dst []byte, node any) ([]byte, bool) {
	pair, ok := node.([]any)
	if !ok || len(pair) != 2 {
		return dst, false
	}
	secs, ok1 := pair[0].(json.Number)
	nanos, ok2 := pair[1].(json.Number)
	s, err1 := strconv.ParseInt(secs.String(), 10, 64)
	n, err2 := strconv.ParseUint(nanos.String(), 10, 32)
	return appendTime(dst, s, uint32(n)), ok1 && ok2 && err1 == nil && err2 == nil && n <= maxNanos
}

func appendMarkedMap(dst []byte, node any) ([]byte, bool) {
	pairs, ok := node.([]any)
	if !ok {
		return dst, false
	}
	dst = AppendMap(dst, len(pairs))
	for _, p := range pairs {
		kv, ok := p.([]any)
		if !ok || len(kv) != 2 {
			return dst, false
		}
		var err error
		if dst, err = appendNodes(dst, kv...); err != nil {
			return dst, false
		}
	}
	return dst, true
}
