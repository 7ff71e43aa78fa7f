package fuzz

import (
	"bytes"
	"strings"
)

// bombDepth is how deep a bomb is nested: some hundred times what any decoder
// here takes, and enough to exhaust a stack that is used for each level.
const bombDepth = 10_000

// bombs are what has broken decoders: depth, announced lengths, the ends of
// integers, text that is none. They are for the formats in use here: msgpack,
// JSON, lines of text, big-endian headers, DER.
func bombs() [][]byte {
	all := [][]byte{
		nil,
		bytes.Repeat([]byte{0x91}, bombDepth), // arrays of one in each other
		bytes.Repeat([]byte{0x81, 0xc0}, bombDepth), // maps of one
		{0xdd, 0xff, 0xff, 0xff, 0xff},              // an array of 4 G
		{0xdf, 0x7f, 0xff, 0xff, 0xff},              // a map of 2 G
		{0xdb, 0xff, 0xff, 0xff, 0xff},              // text of 4 GB
		{0xc6, 0x7f, 0xff, 0xff, 0xff, 0},           // bytes of 2 GB
		{0xc9, 0xff, 0xff, 0xff, 0xff, 5},           // an extension of 4 GB
		append([]byte{0xdc, 0x40, 0}, bytes.Repeat([]byte{0xc0}, 1<<14)...),
		append([]byte{0x9f}, bytes.Repeat([]byte{0xdc, 0xff, 0xff}, 15)...),
		bytes.Repeat([]byte{0xff}, 64),
		make([]byte, 64),
		{0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, // the greatest integer
		{0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0},                      // and the least
		{0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1},                   // one NaN of many
		{0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0},                      // -0
		{0xcd, 0, 1},                                           // 1, longer than it need be
		{0xa2, 0xc3, 0x28},                                     // text that is not UTF-8
		{0xa3, 0xed, 0xa0, 0x80},                               // half a surrogate pair
		{0x30, 0x84, 0xff, 0xff, 0xff, 0xff},                   // DER of 4 GB
		[]byte("\xef\xbb\xbf{}"),
	}
	for _, text := range []string{
		strings.Repeat("[", bombDepth), strings.Repeat(`{"a":`, bombDepth), strings.Repeat("(", bombDepth),
		"18446744073709551616", "-9223372036854775809", "9223372036854775807", "1e999999999", "1e-999999999", "-0", "NaN", "+Inf", "0x1p-2",
		"%", "%2", "%zz", "%00", "%2F", "a//b", "../..", "/", "\x00", `"\ud800"`, `{"a":1,"a":2}`, "null", "a\r\nb\rc\n\n", "9999999999999h", "8388608T",
		strings.Repeat("9", 10_000), "0." + strings.Repeat("0", 10_000) + "1",
	} {
		all = append(all, []byte(text))
	}
	return all
}
