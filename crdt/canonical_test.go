package crdt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// drawElement draws a canonical element, at most depth deep. Maps have few
// distinct keys, of any kind.
func drawElement(t *rapid.T, depth int) []byte {
	kinds := 10
	if depth > 0 {
		kinds = 12
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return AppendNil(nil)
	case 1:
		return AppendBool(nil, rapid.Bool().Draw(t, "bool"))
	case 2:
		return AppendInt(nil, rapid.Int64().Draw(t, "int"))
	case 3:
		return AppendUint(nil, rapid.Uint64().Draw(t, "uint"))
	case 4:
		return binary.BigEndian.AppendUint64([]byte{0xcb}, rapid.Uint64().Draw(t, "float64"))
	case 5:
		return binary.BigEndian.AppendUint32([]byte{0xca}, rapid.Uint32().Draw(t, "float32"))
	case 6:
		return AppendString(nil, rapid.String().Draw(t, "string"))
	case 7:
		return AppendString(nil, string(rapid.SliceOf(rapid.Byte()).Draw(t, "not UTF-8")))
	case 8:
		return AppendBytes(nil, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case 9:
		return appendTime(nil, rapid.Int64().Draw(t, "seconds"), rapid.Uint32Range(0, maxNanos).Draw(t, "nanoseconds"))
	case 10:
		n := rapid.IntRange(0, 20).Draw(t, "length")
		b := AppendArray(nil, n)
		for range n {
			b = append(b, drawElement(t, depth-1)...)
		}
		return b
	}
	return drawMap(t, depth)
}

func drawMap(t *rapid.T, depth int) []byte {
	keys := rapid.SliceOfNDistinct(rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string { return string(drawElement(t, min(depth-1, 1))) }),
		rapid.Map(rapid.SampledFrom([]string{"a", "b", markBytes, markMap, markFloat}), func(s string) string {
			return string(AppendString(nil, s))
		}),
	), 0, 20, rapid.ID).Draw(t, "keys")
	b := AppendMap(nil, len(keys))
	for _, k := range keys {
		b = append(append(b, k...), drawElement(t, depth-1)...)
	}
	c, err := Canonical(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCanonicalFormOfOtherForms(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"8-bit zero", "cc00", "00"},
		{"64-bit 1", "cf0000000000000001", "01"},
		{"signed 1", "d001", "01"},
		{"signed 64-bit 127", "d3000000000000007f", "7f"},
		{"signed 64-bit 128", "d30000000000000080", "cc80"},
		{"signed -1", "d3ffffffffffffffff", "ff"},
		{"signed -33", "d1ffdf", "d0df"},
		{"least", "d38000000000000000", "d38000000000000000"},
		{"greatest", "cfffffffffffffffff", "cfffffffffffffffff"},
		{"float32 1", "ca3f800000", "ca3f800000"},
		{"float64 1", "cb3ff0000000000000", "cb3ff0000000000000"},
		{"minus zero", "cb8000000000000000", "cb8000000000000000"},
		{"signalling NaN", "cb7ff0000000000001", "cb7ff0000000000001"},
		{"long string", "db0000000161", "a161"},
		{"long bytes", "c60000000161", "c40161"},
		{"long array", "dd00000001cc01", "9101"},
		{"long map", "df00000001cc01cc02", "810102"},
		{"map out of order", "83a2626201a16102a16203", "83a16102a16203a2626201"},
		{"map in a map", "8101820301020c", "810182020c0301"},
		{"keys of several kinds", "84c301c0020103a16104", "840103a16104c002c301"},
		{"32-bit time", "d6ff00000005", "c70cff000000000000000000000005"},
		{"64-bit time", "d7ff0000001400000005", "c70cff000000050000000000000005"},
		{"96-bit time", "c70cff00000005ffffffffffffffff", "c70cff00000005ffffffffffffffff"},
		{"time as ext 8", "c704ff00000005", "c70cff000000000000000000000005"},
	} {
		in, err := hex.DecodeString(c.in)
		if err != nil {
			t.Fatal(c.name, err)
		}
		got, err := Canonical(in)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%s: %x, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestCanonicalRefusesWhatIsNoValue(t *testing.T) {
	deep := append(bytes.Repeat([]byte{0x91}, MaxDepth), 0x01)
	if got, err := Canonical(deep); err != nil || !bytes.Equal(got, deep) {
		t.Errorf("as deep as allowed: %v", err)
	}
	for name, in := range map[string][]byte{
		"nothing":                {},
		"reserved byte":          {0xc1},
		"two elements":           {1, 2},
		"one key twice":          {0x82, 1, 1, 1, 2},
		"one key in two forms":   {0x82, 1, 1, 0xcc, 1, 2},
		"too deep":               append([]byte{0x91}, deep...),
		"too deep in maps":       append(bytes.Repeat([]byte{0x81, 1}, MaxDepth+1), 1),
		"four billion elements":  {0xdd, 0xff, 0xff, 0xff, 0xff, 1},
		"four billion pairs":     {0xdf, 0xff, 0xff, 0xff, 0xff, 1, 1},
		"four billion bytes":     {0xc6, 0xff, 0xff, 0xff, 0xff, 1},
		"an extension":           {0xd4, 5, 0},
		"a long extension":       {0xc7, 3, 5, 0, 0, 0},
		"an extension as a time": {0xd6, 5, 0, 0, 0, 0},
		"interned string":        {0xd4, 0x80, 0},
		"time of 1 byte":         {0xd4, 0xff, 0},
		"time of 16 bytes":       append([]byte{0xd8, 0xff}, make([]byte, 16)...),
		"time of no bytes":       {0xc7, 0, 0xff},
		"time of too many nanos": {0xc7, 12, 0xff, 0x3b, 0x9a, 0xca, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"64-bit time, the same":  {0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
	} {
		if got, err := Canonical(in); !errors.Is(err, ErrValue) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

func TestCanonicalIsItsOwnCanonicalForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawElement(t, 3)
		got, err := Canonical(b)
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%x became %x, %v", b, got, err)
		}
		for cut := range len(b) {
			if _, err := Canonical(b[:cut]); !errors.Is(err, ErrValue) {
				t.Fatalf("%x cut at %d: %v", b, cut, err)
			}
		}
	})
}

// What the library writes and what is canonical are one value.
func TestCanonicalFormKeepsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOfN(rapid.String(), rapid.Int64(), 0, 20).Draw(t, "map")
		b, err := msgpack.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Canonical(b)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]int64
		if err := msgpack.Unmarshal(c, &back); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "map", back, m)
		r := NewReader(c)
		last := ""
		for i := range r.Map(len(c)) {
			k := string(r.Raw())
			if r.Raw(); i > 0 && k <= last {
				t.Fatalf("key %x behind %x", k, last)
			}
			last = k
		}
	})
}

// hostile are values that bring the library down, or its caller, if they are
// not looked at first.
var hostile = map[string]string{
	"four billion pairs":              "dfffffffff",
	"four billion elements":           "ddffffffff",
	"a map's length in an extension":  "c70505dfffffffff00",
	"a map's length in a time":        "d6ffdfffffff00",
	"a map's length in an outer time": "82a161d6ffdfffffffa162ff",
	"an array for a key":              "81900190",
	"nested":                          strings.Repeat("91", 100000),
	"interned string":                 "d48005",
}

func FuzzCanonical(f *testing.F) {
	for _, h := range hostile {
		b, _ := hex.DecodeString(h)
		f.Add(b)
	}
	f.Add(mustJSON(f, `{"a":[1,-1,1.5,"x",{"$bytes":"AAA="},{"$time":[1,2]}],"b":{"$map":[[1,null]]}}`).clone())
	fuzz.Decoder(f, 1024, func(t *testing.T, b []byte) {
		c, err := Canonical(b)
		if err != nil {
			return
		}
		if err := NewReader(b).Raw(); err == nil {
			t.Fatalf("%x is canonical and not well formed", b)
		}
		again, err := Canonical(c)
		if err != nil || !bytes.Equal(again, c) {
			t.Fatalf("%x became %x became %x, %v", b, c, again, err)
		}
		text, err := ToJSON(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := FromJSON(text)
		if err != nil || !bytes.Equal(back, c) {
			t.Fatalf("%x as JSON is %s, which is %x, %v", c, text, back, err)
		}
		decodeIntoMany(b)
	})
}

func (r Raw) clone() []byte { return append([]byte(nil), r...) }
