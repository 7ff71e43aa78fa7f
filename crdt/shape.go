package crdt

// shape is what kind of thing a msgpack element is, whatever its width.
type shape byte

const (
	shapeNone shape = iota // no element at all
	shapeNil
	shapeBool
	shapeInt
	shapeFloat
	shapeString
	shapeBytes
	shapeTime
	shapeArray
	shapeMap
)

// String names s, for error messages.
func (s shape) String() string {
	return [...]string{
		"nothing", "nil", "a boolean", "an integer", "a float", "a string",
		"a byte string", "a timestamp", "an array", "a map",
	}[s]
}

// shapeOf returns the shape of the element that b starts with.
func shapeOf(b []byte) shape {
	if len(b) == 0 {
		return shapeNone
	}
	switch c := b[0]; {
	case c < 0x80, c >= 0xe0, c >= 0xcc && c <= 0xd3:
		return shapeInt
	case c < 0x90, c == 0xde, c == 0xdf:
		return shapeMap
	case c < 0xa0, c == 0xdc, c == 0xdd:
		return shapeArray
	case c < 0xc0, c >= 0xd9 && c <= 0xdb:
		return shapeString
	case c == 0xc0:
		return shapeNil
	case c == 0xc2, c == 0xc3:
		return shapeBool
	case c == 0xca, c == 0xcb:
		return shapeFloat
	case c >= 0xc4 && c <= 0xc6:
		return shapeBytes
	case c >= 0xc7 && c <= 0xc9, c >= 0xd4 && c <= 0xd8:
		return shapeTime
	}
	return shapeNone // c1, which starts nothing
}
