package crdt

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// celsius is a number with a name, and a method that is none of the library's.
type celsius float32

func (c celsius) String() string { return fmt.Sprintf("%g °C", float32(c)) }

// version encodes itself as text.
type version struct{ major, minor int }

func (v version) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d.%d", v.major, v.minor), nil
}
func (v *version) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "%d.%d", &v.major, &v.minor)
	return err
}

// level is a number that encodes itself.
type level int

func (l level) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeString(fmt.Sprint(int(l))) }
func (l *level) DecodeMsgpack(d *msgpack.Decoder) error {
	s, err := d.DecodeString()
	if err == nil {
		_, err = fmt.Sscan(s, (*int)(l))
	}
	return err
}

// decodeIntoMany decodes bytes into types of every kind. Nothing may panic,
// nor take memory by a length that the bytes declare.
func decodeIntoMany(b []byte) []error {
	drop := func(_ any, err error) error { return err }
	return []error{
		drop(Decode[any](b)), drop(Decode[string](b)), drop(Decode[bool](b)), drop(Decode[uint8](b)),
		drop(Decode[float32](b)), drop(Decode[[]byte](b)), drop(Decode[[2]int](b)), drop(Decode[[]any](b)),
		drop(Decode[map[string]any](b)), drop(Decode[map[any]any](b)), drop(Decode[map[string]string](b)),
		drop(Decode[model](b)), drop(Decode[*model](b)), drop(Decode[[]model](b)), drop(Decode[time.Time](b)),
		drop(Decode[version](b)), drop(Decode[level](b)), drop(Decode[Raw](b)), drop(Decode[struct{ A Raw }](b)),
		drop(Decode[map[Key]map[string]any](b)), drop(Decode[struct{ A map[string]any }](b)),
	}
}

func roundTrip[T comparable](t rapid.TB, v T) {
	t.Helper()
	b, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := Canonical(b); err != nil || string(c) != string(b) {
		t.Errorf("%v encodes as %x, which is not canonical: %v", v, b, err)
	}
	got, err := Decode[T](b)
	if err != nil || got != v {
		t.Errorf("%v came back as %v, %v", v, got, err)
	}
	if viaLibrary, err := msgpack.Marshal(v); err != nil {
		t.Error(err)
	} else if c, err := Canonical(viaLibrary); err != nil || string(c) != string(b) {
		t.Errorf("%v encodes as %x, by the library as %x, %v", v, b, c, err)
	}
}

func TestScalarsOfEveryTypeRoundTrip(t *testing.T) {
	for _, i := range []int64{0, 1, -1, 127, 128, -32, -33, math.MaxInt8, math.MinInt8, math.MaxInt64, math.MinInt64} {
		roundTrip(t, int(i))
		roundTrip(t, int8(i))
		roundTrip(t, int16(i))
		roundTrip(t, int32(i))
		roundTrip(t, i)
		roundTrip(t, uint(i))
		roundTrip(t, uint8(i))
		roundTrip(t, uint16(i))
		roundTrip(t, uint32(i))
		roundTrip(t, uint64(i))
		roundTrip(t, time.Duration(i))
		roundTrip(t, level(i))
		roundTrip(t, version{int(int32(i)), 2})
		roundTrip(t, float64(i))
		roundTrip(t, float32(i))
		roundTrip(t, celsius(i))
	}
	for _, f := range []float64{math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1} {
		roundTrip(t, f)
		roundTrip(t, float32(f))
	}
	for _, s := range []string{"", "x", "\xff", string(make([]byte, 40)), string(make([]byte, 70000))} {
		roundTrip(t, s)
	}
	roundTrip(t, true)
	roundTrip(t, false)
}

func TestNumbersDecodeOnlyIntoWhatHoldsThem(t *testing.T) {
	decode := func(text string, into string) error {
		b := mustJSON(t, text)
		drop := func(_ any, err error) error { return err }
		return map[string]func() error{
			"int8":    func() error { return drop(Decode[int8](b)) },
			"int64":   func() error { return drop(Decode[int64](b)) },
			"uint8":   func() error { return drop(Decode[uint8](b)) },
			"uint64":  func() error { return drop(Decode[uint64](b)) },
			"float32": func() error { return drop(Decode[float32](b)) },
			"float64": func() error { return drop(Decode[float64](b)) },
			"string":  func() error { return drop(Decode[string](b)) },
			"bool":    func() error { return drop(Decode[bool](b)) },
			"bytes":   func() error { return drop(Decode[[]byte](b)) },
		}[into]()
	}
	for _, c := range []struct{ text, fits, not string }{
		{"127", "int8", ""}, {"128", "uint8", "int8"}, {"256", "int64", "uint8"}, {"-1", "int8", "uint64"},
		{"9223372036854775808", "uint64", "int64"}, {"1.0", "float64", "int64"}, {"3", "float64", "string"},
		{"1e300", "float64", "float32"}, {"0.1", "float32", "uint8"}, {`"1"`, "string", "int64"},
		{`"x"`, "string", "bytes"}, {`{"$bytes":"eA=="}`, "bytes", "string"}, {"true", "bool", "int8"},
		{"1", "int8", "bool"}, {"null", "bytes", "int8"}, {"null", "bytes", "string"}, {`{"$time":[1,2]}`, "", "int64"},
	} {
		if c.fits != "" {
			if err := decode(c.text, c.fits); err != nil {
				t.Errorf("%s into %s: %v", c.text, c.fits, err)
			}
		}
		if c.not != "" {
			if err := decode(c.text, c.not); !errors.Is(err, ErrValue) {
				t.Errorf("%s into %s: %v", c.text, c.not, err)
			}
		}
	}
}

func TestByteSlicesRoundTripAndAreCopies(t *testing.T) {
	for _, v := range [][]byte{nil, {}, {1}, make([]byte, 300)} {
		b, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode[[]byte](b)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "bytes", got, v)
		raw, err := Decode[Raw](b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		wantEqual(t, "bytes", got, v)
		if _, err := Canonical(raw); err != nil || len(raw) != len(b) {
			t.Errorf("raw %x, %v", raw, err)
		}
	}
	// What is longer than need be is read all the same.
	if got, err := Decode[[]byte]([]byte{0xc5, 0, 1, 'x'}); string(got) != "x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Decode[string]([]byte{0xd9, 1, 'x'}); got != "x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Decode[uint8]([]byte{0xd1, 0, 200}); got != 200 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	if got, err := Decode[uint8]([]byte{0xd1, 0}); !errors.Is(err, ErrValue) || !strings.Contains(err.Error(), "ends early") {
		t.Errorf("%d, %v", got, err)
	}
}

func TestTimesDecodeToTheirInstant(t *testing.T) {
	type at struct{ T time.Time }
	for _, want := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(1, 0), time.Unix(1<<31, 999_999_999), time.Unix(1<<34, 570_000_000), time.Unix(-5, 7),
	} {
		b, err := Encode(at{want})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode[at](b)
		if err != nil || !got.T.Equal(want) {
			t.Errorf("%v came back as %v, %v", want, got.T, err)
		}
		alone, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode[time.Time](alone); err != nil || !got.Equal(want) {
			t.Errorf("%v came back as %v, %v", want, got, err)
		}
	}
}

func TestHostileValuesAreRefusedNotFatal(t *testing.T) {
	for name, h := range hostile {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(name, err)
		}
		for i, err := range decodeIntoMany(b) {
			if err != nil && !errors.Is(err, ErrValue) {
				t.Errorf("%s, type %d: %v", name, i, err)
			}
		}
	}
	if _, err := Decode[map[any]any]([]byte{0x81, 0x90, 0x01}); !errors.Is(err, ErrValue) {
		t.Errorf("an array for a key: %v", err)
	}
	if _, err := Decode[map[string]any]([]byte{0xd6, 0xff, 0xdf, 0xff, 0xff, 0xff}); !errors.Is(err, ErrValue) {
		t.Errorf("a time for a map: %v", err)
	}
}

func TestRawStandsForItselfInOtherValues(t *testing.T) {
	type wrapper struct {
		Name  string
		Value Raw
	}
	inner := mustJSON(t, `{"b":[1,{"$bytes":"AA=="}],"a":1.0}`)
	for _, w := range []wrapper{{"x", inner}, {"seven", Raw{7}}} {
		b, err := Encode(w)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode[wrapper](b)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "within msgpack", got, w)
		text, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		got = wrapper{}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "within JSON", got, w)
	}
	// Nil within msgpack comes back as an empty Raw.
	if b, err := Encode(wrapper{}); err != nil || b.String() != `{"Name":"","Value":null}` {
		t.Errorf("empty: %s, %v", b, err)
	}
	wantEqual(t, "empty as text", Raw(nil).String(), "<invalid value: malformed encoding at byte 0: input ends early>")
	var bad wrapper
	if err := json.Unmarshal([]byte(`{"Value":{"$bytes":1}}`), &bad); !errors.Is(err, ErrValue) {
		t.Errorf("misused mark within JSON: %v", err)
	}
}

func TestValuesKeepTheirBytes(t *testing.T) {
	enc := func(v Raw, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	type inner struct {
		Z, A int
		T    time.Time
		F    float32
		M    map[int]string
		P    *int
		B    []byte
	}
	checkGolden(t, "value.golden", []goldenCase{
		{"int", enc(Encode(-1000))},
		{"uint64", enc(Encode(uint64(math.MaxUint64)))},
		{"float32", enc(Encode(float32(1.5)))},
		{"float64", enc(Encode(1.0))},
		{"minus zero", enc(Encode(math.Copysign(0, -1)))},
		{"string", enc(Encode("häuser"))},
		{"bytes", enc(Encode([]byte("x")))},
		{"nil bytes", enc(Encode([]byte(nil)))},
		{"nil", enc(Encode[any](nil))},
		{"time", enc(Encode(time.Unix(1, 2)))},
		{"struct", enc(Encode(inner{1, 2, time.Unix(3, 0), 4, map[int]string{-1: "m", 300: "n", 5: ""}, nil, []byte{}}))},
		{"array", enc(Encode([3]bool{true}))},
		{"text", enc(Encode(version{1, 2}))},
	})
}

func FuzzDecode(f *testing.F) {
	for _, h := range hostile {
		b, _ := hex.DecodeString(h)
		f.Add(b)
	}
	f.Add(mustJSON(f, `{"name":"x","version":3,"labels":{"a":"b"},"trained":{"$time":[1,2]}}`).clone())
	fuzz.Decoder(f, 512, func(t *testing.T, b []byte) {
		for _, err := range decodeIntoMany(b) {
			if err != nil && !errors.Is(err, ErrValue) {
				t.Fatal(err)
			}
		}
	})
}
