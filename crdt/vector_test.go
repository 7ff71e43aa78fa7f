package crdt

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

func drawVector(t *rapid.T) Vector {
	v := Vector{}
	for w := byte(1); w <= 4; w++ {
		v.Advance(WriterID{w}, rapid.Uint64Range(0, 3).Draw(t, "seq"))
	}
	return v
}

func TestVectorsFormALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawVector(t), drawVector(t)
		j := a.Clone()
		j.Join(b)
		if !j.CoversAll(a) || !j.CoversAll(b) {
			t.Fatal("a join covers less than its parts")
		}
		for w := byte(1); w <= 4; w++ {
			for s := uint64(1); s <= 4; s++ {
				d := Dot{WriterID{w}, s}
				if j.Covers(d) != (a.Covers(d) || b.Covers(d)) {
					t.Fatalf("%v: join %v, a %v, b %v", d, j.Covers(d), a.Covers(d), b.Covers(d))
				}
			}
		}
		behind := a.Behind(b)
		if (len(behind) == 0) != a.CoversAll(b) {
			t.Fatalf("behind by %v, covers all %v", behind, a.CoversAll(b))
		}
		for _, d := range behind {
			a.Advance(d.Writer, d.Seq)
		}
		if !a.Equal(j) {
			t.Fatal("what was behind does not make up for the difference")
		}
		if a.Equal(b) != (a.Hash() == b.Hash()) {
			t.Fatal("hashes do not tell vectors apart")
		}
	})
}

func TestNilVectorIsEmpty(t *testing.T) {
	var v Vector
	if v.Covers(Dot{WriterID{1}, 1}) || !v.CoversAll(nil) || !v.Equal(Vector{}) || v.Clone() == nil {
		t.Fatal("a nil vector is not an empty one")
	}
}

func TestVectorHasOneEncoding(t *testing.T) {
	checkGolden(t, "vector.golden", []goldenCase{
		{"empty", AppendVector(nil, nil)},
		{"vector", AppendVector(nil, Vector{{2}: 1, {1}: 1 << 40, {0, 9}: 7})},
	})
	w := func(b byte) []byte { return AppendBytes(nil, append([]byte{b}, make([]byte, 15)...)) }
	u := func(u uint64) []byte { return AppendUint(nil, u) }
	for name, b := range map[string][]byte{
		"odd length":      bytes.Join([][]byte{AppendArray(nil, 1), w(1)}, nil),
		"zero entry":      bytes.Join([][]byte{AppendArray(nil, 2), w(1), u(0)}, nil),
		"repeated writer": bytes.Join([][]byte{AppendArray(nil, 4), w(1), u(1), w(1), u(2)}, nil),
		"out of order":    bytes.Join([][]byte{AppendArray(nil, 4), w(2), u(1), w(1), u(2)}, nil),
		"too long":        {0xdd, 0x00, 0x08, 0x00, 0x02},
	} {
		r := NewReader(b)
		if ReadVector(r); r.Err() == nil {
			t.Errorf("%s: read", name)
		}
	}
	whole := AppendVector(nil, Vector{{2}: 1, {1}: 300})
	for cut := range len(whole) {
		r := NewReader(whole[:cut:cut])
		if ReadVector(r); r.Err() == nil {
			t.Errorf("cut at %d: read", cut)
		}
	}
}

// FuzzReadVector: whatever is read is the one encoding of itself.
func FuzzReadVector(f *testing.F) {
	f.Add(AppendVector(nil, Vector{{2}: 1, {1}: 300}))
	fuzz.Decoder(f, 128, func(t *testing.T, in []byte) {
		r := NewReader(in)
		v := ReadVector(r)
		if r.Err() == nil && !bytes.Equal(AppendVector(nil, v), in[:len(in)-len(r.Rest())]) {
			t.Fatalf("%x read as %v", in, v)
		}
	})
}
