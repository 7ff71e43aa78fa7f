package crdt

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestScalarsKeepTheirBytes freezes every header and boundary of the codec.
func TestScalarsKeepTheirBytes(t *testing.T) {
	cases := []goldenCase{
		{"nil", AppendNil(nil)}, {"true", AppendBool(nil, true)}, {"false", AppendBool(nil, false)},
		{"float 0", AppendFloat(nil, 0)}, {"float -0", AppendFloat(nil, math.Copysign(0, -1))},
		{"float 1.5", AppendFloat(nil, 1.5)}, {"float +inf", AppendFloat(nil, math.Inf(1))},
		{"float nan with a payload", AppendFloat(nil, math.Float64frombits(0x7ff8000000000abc))},
	}
	for _, u := range []uint64{0, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, math.MaxUint64} {
		cases = append(cases, goldenCase{"uint", AppendUint(nil, u)})
	}
	for _, i := range []int64{1, -1, -32, -33, -128, -129, -32768, -32769, -1 << 31, -1<<31 - 1, math.MinInt64} {
		cases = append(cases, goldenCase{"int", AppendInt(nil, i)})
	}
	for _, n := range []int{0, 31, 32, 255, 256, 65535, 65536} {
		body := bytes.Repeat([]byte{'x'}, n)
		cases = append(cases,
			goldenCase{"head of string", AppendString(nil, string(body))[:headLen(n, 31)]},
			goldenCase{"head of bytes", AppendBytes(nil, body)[:headLen(n, -1)]},
			goldenCase{"array", AppendArray(nil, n)}, goldenCase{"map", AppendMap(nil, n)})
	}
	checkGolden(t, "codec.golden", cases)
}

// headLen returns the length of the header of n bytes, where up to fix fit
// the code itself.
func headLen(n, fix int) int {
	switch {
	case n <= fix:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	}
	return 5
}

// scalar is one value of the codec with its writer and its reader.
type scalar struct {
	name  string
	write func(dst []byte) []byte
	read  func(r *Reader) bool // reports whether it read what was written
}

// drawScalar draws values near the boundaries of the forms.
func drawScalar(t *rapid.T) scalar {
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return scalar{"nil", AppendNil, (*Reader).Nil}
	case 1:
		v := rapid.Bool().Draw(t, "bool")
		return scalar{"bool", func(d []byte) []byte { return AppendBool(d, v) }, func(r *Reader) bool { return r.Bool() == v }}
	case 2:
		v := rapid.Uint64().Draw(t, "uint") >> rapid.IntRange(0, 63).Draw(t, "shift")
		return scalar{"uint", func(d []byte) []byte { return AppendUint(d, v) }, func(r *Reader) bool { return r.Uint() == v }}
	case 3:
		v := rapid.Int64().Draw(t, "int") >> rapid.IntRange(0, 63).Draw(t, "shift")
		return scalar{"int", func(d []byte) []byte { return AppendInt(d, v) }, func(r *Reader) bool { return r.Int() == v }}
	case 4:
		v := rapid.Uint64().Draw(t, "float bits")
		return scalar{"float", func(d []byte) []byte { return AppendFloat(d, math.Float64frombits(v)) },
			func(r *Reader) bool { return math.Float64bits(r.Float()) == v }}
	case 5:
		v := string(drawBody(t))
		return scalar{"string", func(d []byte) []byte { return AppendString(d, v) },
			func(r *Reader) bool { return r.String(len(v)) == v }}
	case 6:
		v := drawBody(t)
		return scalar{"bytes", func(d []byte) []byte { return AppendBytes(d, v) },
			func(r *Reader) bool { return bytes.Equal(r.Bytes(len(v)), v) }}
	default:
		return scalar{"array", func(d []byte) []byte { return AppendNil(AppendArray(d, 1)) },
			func(r *Reader) bool { return r.Array(1) == 1 && r.Nil() }}
	}
}

func drawBody(t *rapid.T) []byte {
	n := rapid.SampledFrom([]int{0, 1, 31, 32, 255, 256, 300, 65535, 65536}).Draw(t, "length")
	return bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, n)
}

func TestReaderReadsWhatWasAppended(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b []byte
		ss := rapid.SliceOfN(rapid.Custom(drawScalar), 1, 6).Draw(t, "scalars")
		for _, s := range ss {
			b = s.write(b)
		}
		r := NewReader(b)
		for _, s := range ss {
			if !s.read(r) {
				t.Fatalf("%s read back as another value, error %v", s.name, r.Err())
			}
		}
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
		r.Reset(b)
		for range ss {
			r.Raw()
		}
		if err := r.Done(); err != nil {
			t.Fatalf("Raw: %v", err)
		}
	})
}

// TestReaderRefusesEveryTruncation cuts each scalar at every byte of its head
// and its end: the typed read and Raw refuse, and the error sticks.
func TestReaderRefusesEveryTruncation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.Custom(drawScalar).Draw(t, "scalar")
		whole := s.write(nil)
		for cut := 0; cut < len(whole); cut += 1 + cut/8*7 {
			r := NewReader(whole[:cut:cut])
			s.read(r)
			r.Nil()
			if s.name == "nil" {
				r.Fail("nothing there")
			}
			if r.Err() == nil {
				t.Fatalf("%s of %d bytes cut at %d was read", s.name, len(whole), cut)
			}
			if r.Uint() != 0 || r.Bytes(9) != nil || r.Raw() != nil || r.More() {
				t.Fatal("reads went on after an error")
			}
			if r = NewReader(whole[:cut:cut]); r.Raw() != nil || r.Err() == nil {
				t.Fatalf("Raw took %s of %d bytes cut at %d", s.name, len(whole), cut)
			}
		}
	})
}
