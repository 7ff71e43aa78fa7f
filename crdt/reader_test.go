package crdt

import (
	"bytes"
	"errors"
	"testing"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// TestReaderRefusesLongForms feeds each typed read with every form of a value
// that has a shorter one.
func TestReaderRefusesLongForms(t *testing.T) {
	uint64s := func(r *Reader) { r.Uint() }
	ints := func(r *Reader) { r.Int() }
	cases := []struct {
		name string
		in   string
		read func(r *Reader)
	}{
		{"uint8 of 127", "\xcc\x7f", uint64s},
		{"uint16 of 255", "\xcd\x00\xff", uint64s},
		{"uint32 of 65535", "\xce\x00\x00\xff\xff", uint64s},
		{"uint64 of 2^32-1", "\xcf\x00\x00\x00\x00\xff\xff\xff\xff", uint64s},
		{"signed 8 bits for 5", "\xd0\x05", uint64s},
		{"signed 8 bits for 5, as int", "\xd0\x05", ints},
		{"int8 of -32", "\xd0\xe0", ints},
		{"int16 of -128", "\xd1\xff\x80", ints},
		{"int32 of -32768", "\xd2\xff\xff\x80\x00", ints},
		{"int64 of -2^31", "\xd3\xff\xff\xff\xff\x80\x00\x00\x00", ints},
		{"uint8 of 127 as int", "\xcc\x7f", ints},
		{"uint64 over 63 bits as int", "\xcf\x80\x00\x00\x00\x00\x00\x00\x00", ints},
		{"str8 of 31", "\xd9\x1f" + string(make([]byte, 31)), func(r *Reader) { r.String(99) }},
		{"str16 of 255", "\xda\x00\xff" + string(make([]byte, 255)), func(r *Reader) { r.String(999) }},
		{"str32 of 256", "\xdb\x00\x00\x01\x00" + string(make([]byte, 256)), func(r *Reader) { r.String(999) }},
		{"bin16 of 255", "\xc5\x00\xff" + string(make([]byte, 255)), func(r *Reader) { r.Bytes(999) }},
		{"bin32 of 256", "\xc6\x00\x00\x01\x00" + string(make([]byte, 256)), func(r *Reader) { r.Bytes(999) }},
		{"array16 of 15", "\xdc\x00\x0f" + string(make([]byte, 15)), func(r *Reader) { r.Array(99) }},
		{"array32 of 16", "\xdd\x00\x00\x00\x10" + string(make([]byte, 16)), func(r *Reader) { r.Array(99) }},
		{"map16 of 15", "\xde\x00\x0f" + string(make([]byte, 30)), func(r *Reader) { r.Map(99) }},
		{"map32 of 16", "\xdf\x00\x00\x00\x10" + string(make([]byte, 32)), func(r *Reader) { r.Map(99) }},
	}
	for _, c := range cases {
		r := NewReader([]byte(c.in))
		c.read(r)
		var format *FormatError
		if !errors.As(r.Err(), &format) {
			t.Errorf("%s: read, error %v", c.name, r.Err())
		}
	}
}

func TestReaderRefusesWhatIsOfAnotherKind(t *testing.T) {
	reads := map[string]func(r *Reader){
		"bool": func(r *Reader) { r.Bool() }, "uint": func(r *Reader) { r.Uint() },
		"int": func(r *Reader) { r.Int() }, "float": func(r *Reader) { r.Float() },
		"string": func(r *Reader) { r.String(9) }, "bytes": func(r *Reader) { r.Bytes(9) },
		"array": func(r *Reader) { r.Array(9) }, "map": func(r *Reader) { r.Map(9) },
		"writer": func(r *Reader) { r.Writer() },
	}
	for name, read := range reads {
		r := NewReader([]byte{0xc0, 0x00}) // nil, which only Nil takes
		read(r)
		var format *FormatError
		if !errors.As(r.Err(), &format) || format.Offset != 0 {
			t.Errorf("%s of a nil: %v, want an error at byte 0", name, r.Err())
		}
	}
	r := NewReader([]byte{0xca, 0, 0, 0, 0})
	if r.Float(); r.Err() == nil {
		t.Error("a 32-bit float was read as a 64-bit one")
	}
}

func TestReaderHoldsItsBounds(t *testing.T) {
	cases := []struct {
		name string
		in   []byte
		read func(r *Reader)
	}{
		{"bytes over the limit", AppendBytes(nil, make([]byte, 10)), func(r *Reader) { r.Bytes(9) }},
		{"string over the limit", AppendString(nil, "0123456789"), func(r *Reader) { r.String(9) }},
		{"array over the limit", append(AppendArray(nil, 10), make([]byte, 10)...), func(r *Reader) { r.Array(9) }},
		{"array longer than the input", append(AppendArray(nil, 10), make([]byte, 9)...), func(r *Reader) { r.Array(99) }},
		{"map longer than the input", append(AppendMap(nil, 10), make([]byte, 19)...), func(r *Reader) { r.Map(99) }},
		{"array of 2^32-1", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}, func(r *Reader) { r.Raw() }},
		{"map of 2^32-1", []byte{0xdf, 0xff, 0xff, 0xff, 0xff}, func(r *Reader) { r.Raw() }},
		{"bytes of 2^32-1", []byte{0xc6, 0xff, 0xff, 0xff, 0xff}, func(r *Reader) { r.Bytes(MaxValueBytes) }},
		{"extension of 2^32-1", []byte{0xc9, 0xff, 0xff, 0xff, 0xff, 1}, func(r *Reader) { r.Raw() }},
		{"the code that msgpack never uses", []byte{0xc1}, func(r *Reader) { r.Raw() }},
		{"fixed of another length", AppendBytes(nil, make([]byte, 15)), func(r *Reader) { r.Writer() }},
		{"trailing bytes", []byte{0xc0, 0xc0}, func(r *Reader) { r.Nil(); _ = r.Done() }},
	}
	for _, c := range cases {
		r := NewReader(c.in)
		if c.read(r); r.Err() == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
}

func TestRawTakesExactlyMaxDepth(t *testing.T) {
	nest := func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), 0xc0) }
	if r := NewReader(nest(MaxDepth)); len(r.Raw()) != MaxDepth+1 || r.Done() != nil {
		t.Errorf("%d arrays in one another refused: %v", MaxDepth, r.Err())
	}
	for _, n := range []int{MaxDepth + 1, 1 << 20} {
		if r := NewReader(nest(n)); r.Raw() != nil || r.Err() == nil {
			t.Errorf("%d arrays in one another taken", n)
		}
	}
}

// FuzzReader walks any bytes by what they claim to be: no panic, no read past
// the end, and what a typed read takes is the one encoding of its value.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x93\xc0\xc3\xcd\x01\x00\xd0\x80\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa1x\xc4\x01y\x81\x01\x02"))
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	fuzz.Decoder(f, 128, func(t *testing.T, in []byte) {
		raw := NewReader(in)
		element := raw.Raw()
		if raw.Err() == nil && !bytes.Equal(element, in[:len(in)-len(raw.Rest())]) {
			t.Fatal("Raw returned other bytes than it passed")
		}
		for _, again := range []func(r *Reader) []byte{
			func(r *Reader) []byte { return AppendUint(nil, r.Uint()) },
			func(r *Reader) []byte { return AppendInt(nil, r.Int()) },
			func(r *Reader) []byte { return AppendFloat(nil, r.Float()) },
			func(r *Reader) []byte { return AppendBool(nil, r.Bool()) },
			func(r *Reader) []byte { return AppendString(nil, r.String(1<<20)) },
			func(r *Reader) []byte { return AppendBytes(nil, r.Bytes(1<<20)) },
			func(r *Reader) []byte { return AppendArray(nil, r.Array(1<<20)) },
			func(r *Reader) []byte { return AppendMap(nil, r.Map(1<<20)) },
		} {
			r := NewReader(in)
			got := again(r)
			if r.Err() == nil && !bytes.Equal(got, in[:len(in)-len(r.Rest())]) {
				t.Fatalf("%x was read, and is written as %x", in, got)
			}
		}
	})
}
