package crdt

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

func TestValuesAsJSON(t *testing.T) {
	f64 := func(f float64) Raw { return AppendFloat(nil, f) }
	f32 := func(f float32) Raw { return appendFloat32(nil, f) }
	for _, c := range []struct {
		value Raw
		text  string
	}{
		{AppendNil(nil), "null"},
		{AppendBool(nil, true), "true"},
		{AppendInt(nil, math.MinInt64), "-9223372036854775808"},
		{AppendUint(nil, math.MaxUint64), "18446744073709551615"},
		{AppendUint(nil, 1), "1"},
		{f64(1), "1.0"},
		{f64(-0.5), "-0.5"},
		{f64(math.Copysign(0, -1)), "-0.0"},
		{f64(1e21), "1e+21"},
		{f64(math.SmallestNonzeroFloat64), "5e-324"},
		{f64(9007199254740993), "9.007199254740992e+15"},
		{f64(math.NaN()), `{"$float":"NaN"}`},
		{f64(math.Inf(1)), `{"$float":"Infinity"}`},
		{f64(math.Inf(-1)), `{"$float":"-Infinity"}`},
		{f64(math.Float64frombits(0xfff0000000000001)), `{"$float":"fff0000000000001"}`},
		{f32(0.1), `{"$float32":0.1}`},
		{f32(2), `{"$float32":2.0}`},
		{f32(float32(math.Inf(-1))), `{"$float32":"-Infinity"}`},
		{Raw{0xca, 0x7f, 0x80, 0, 1}, `{"$float32":"7f800001"}`},
		{AppendString(nil, "a\"<\n\u2028ä"), `"a\"<\n\u2028ä"`},
		{AppendString(nil, "\xff"), `{"$string":"/w=="}`},
		{AppendBytes(nil, []byte{0, 1}), `{"$bytes":"AAE="}`},
		{AppendBytes(nil, nil), `{"$bytes":""}`},
		{appendTime(nil, -1, 5), `{"$time":[-1,5]}`},
		{Raw{0x90}, "[]"},
		{Raw{0x80}, "{}"},
		{Raw{0x92, 1, 0x91, 0xc0}, "[1,[null]]"},
		{mustJSON(t, `{"bb":1,"a":2}`), `{"a":2,"bb":1}`},
		{Raw{0x81, 1, 2}, `{"$map":[[1,2]]}`},
		{Raw{0x81, 0xa1, 0xff, 2}, `{"$map":[[{"$string":"/w=="},2]]}`},
		{append(Raw{0x81}, append(AppendString(nil, markBytes), 1)...), `{"$map":[["$bytes",1]]}`},
		{append(Raw{0x81}, append(AppendString(nil, "$other"), 1)...), `{"$other":1}`},
	} {
		text, err := ToJSON(c.value)
		if err != nil || string(text) != c.text {
			t.Errorf("%x as JSON: %s, %v, want %s", c.value, text, err, c.text)
		}
		value, err := FromJSON([]byte(c.text))
		if err != nil || !bytes.Equal(value, c.value) {
			t.Errorf("%s: %x, %v, want %x", c.text, value, err, c.value)
		}
	}
}

func TestOtherWaysToWriteAValueInJSON(t *testing.T) {
	for text, want := range map[string]string{
		" [ 1 , 2 ] \n":                     "[1,2]",
		"-0":                                "0",
		"1E3":                               "1000.0",
		"1e-400":                            "0.0",
		`"\u00e4"`:                          `"ä"`,
		`{"$float":1}`:                      "1.0",
		`{"$float":"7ff0000000000000"}`:     `{"$float":"Infinity"}`,
		`{"$map":[["b",1],["a",2]]}`:        `{"a":2,"b":1}`,
		`{"$map":[]}`:                       "{}",
		`{"\u0024bytes":"AA=="}`:            `{"$bytes":"AA=="}`,
		`{"$float32":1e300}`:                "",
		`{"a":{"$float32":0.100000001}}`:    `{"a":{"$float32":0.1}}`,
		`{"$time":[9223372036854775807,0]}`: `{"$time":[9223372036854775807,0]}`,
	} {
		value, err := FromJSON([]byte(text))
		if want == "" {
			if !errors.Is(err, ErrValue) {
				t.Errorf("%s: %v, %v", text, value, err)
			}
			continue
		}
		if err != nil || value.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, value, err, want)
		}
	}
}

func TestWhatIsNoValueInJSONIsRefused(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := FromJSON([]byte(nested(MaxDepth + 1))); err != nil {
		t.Errorf("as deep as allowed: %v", err)
	}
	for _, text := range []string{
		"", " ", "nul", "{", "[1", "[1,]", "[1 2]", `{"a"}`, `{"a":}`, `{a:1}`, "1 2", "01", "+1", "NaN", "'x'", "\xff", `"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\udc00\ud800"`, `["a\\","\uD83D"]`, `{"\ud83dx\ude00":1}`, "\"\xff\"", `"\x"`,
		"18446744073709551616", "-9223372036854775809", "1e999",
		`{"a":1,"a":2}`, `{"$map":[[1,2],[1,3]]}`,
		nested(MaxDepth + 2), nested(9000), nested(20000), strings.Repeat(`{"$map":[[1,`, 200) + "1" + strings.Repeat("]]}", 200),
		`{"$bytes":"?"}`, `{"$bytes":1}`, `{"$bytes":null}`, `{"$bytes":"","a":1}`, `{"a":1,"$map":[]}`,
		`{"$string":"?"}`, `{"$string":[]}`, `{"$float":"x"}`, `{"$float":"7ff"}`, `{"$float":true}`, `{"$float32":"7ff0000000000000"}`,
		`{"$time":1}`, `{"$time":[1]}`, `{"$time":[1,-1]}`, `{"$time":[1,1000000000]}`, `{"$time":[1.5,0]}`, `{"$time":["1",0]}`,
		`{"$map":1}`, `{"$map":[1]}`, `{"$map":[[1]]}`, `{"$map":[[1,2,3]]}`, `{"$map":[[1,{"$bytes":0}]]}`,
	} {
		if value, err := FromJSON([]byte(text)); !errors.Is(err, ErrValue) {
			t.Errorf("%.40q: %v, %v", text, value, err)
		}
	}
	if text, err := ToJSON(Raw{0xc1}); !errors.Is(err, ErrValue) {
		t.Errorf("malformed value: %s, %v", text, err)
	}
}

func TestValuesComeBackFromJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := drawElement(t, 3)
		text, err := ToJSON(value)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(text) {
			t.Fatalf("%s is not JSON", text)
		}
		back, err := FromJSON(text)
		if err != nil || !bytes.Equal(back, value) {
			t.Fatalf("%x as JSON is %s, which is %x, %v", value, text, back, err)
		}
	})
}

// What takes most JSON for its depth comes back, too.
func TestDeepestValuesComeBackFromJSON(t *testing.T) {
	value := Raw{1}
	for range MaxDepth {
		value = append(Raw{0x81, 0xc0}, value...)
	}
	text, err := ToJSON(value)
	if err != nil {
		t.Fatal(err)
	}
	back, err := FromJSON(text)
	if err != nil || !bytes.Equal(back, value) {
		t.Errorf("came back as %x, %v", back, err)
	}
}

func FuzzFromJSON(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,-1,1.5,"x",null,true],"b":{"$map":[[1,{"$bytes":"AA=="}]]}}`, `{"$float":"NaN"}`, `{"$time":[1,2]}`, "[[[[]]]]", `"\ud800"`,
	} {
		f.Add([]byte(text))
	}
	fuzz.Decoder(f, 128, func(t *testing.T, text []byte) {
		value, err := FromJSON(text)
		if err != nil {
			if !errors.Is(err, ErrValue) {
				t.Fatal(err)
			}
			return
		}
		if c, err := Canonical(value); err != nil || !bytes.Equal(c, value) {
			t.Fatalf("%s is %x, which is not canonical: %v", text, value, err)
		}
		again, err := ToJSON(value)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := FromJSON(again); err != nil || !bytes.Equal(back, value) {
			t.Fatalf("%s is %x is %s is %x, %v", text, value, again, back, err)
		}
	})
}

func FuzzToJSON(f *testing.F) {
	f.Add([]byte{0x82, 0xa1, 'a', 0xca, 0x7f, 0xc0, 0, 0, 0xa1, 0xff, 0xd6, 0xff, 0, 0, 0, 1})
	fuzz.Decoder(f, 128, func(t *testing.T, value []byte) {
		text, err := ToJSON(value)
		if err == nil && !json.Valid(text) {
			t.Fatalf("%x is %s, which is not JSON", value, text)
		}
	})
}
