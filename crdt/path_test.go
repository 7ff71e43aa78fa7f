package crdt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// partBytes are the bytes that the encoding treats specially, and a few that
// it does not: drawn from few, parts share prefixes.
var partBytes = rapid.SampledFrom([]byte{0x00, 0x01, 0x02, 0xfe, 0xff, '/', '%', '2', 'F', 'a', 'b'})

func drawPath(t *rapid.T) Path {
	return Path(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(partBytes, 1, 4).Draw(t, "part"))
	}), 1, 4).Draw(t, "path"))
}

// place is a key taken apart.
type place struct {
	path Path
	typ  Type
	sub  string
}

// String quotes p, for failures.
func (p place) String() string {
	return fmt.Sprintf("%q type %#02x sub %q", []string(p.path), byte(p.typ), p.sub)
}

func drawPlace(t *rapid.T) place {
	return place{
		drawPath(t),
		Type(partBytes.Draw(t, "type")),
		string(rapid.SliceOfN(partBytes, 0, 3).Draw(t, "sub")),
	}
}

func (p place) key(t *rapid.T) Key {
	k, err := MakeKey(p.path, p.typ, p.sub)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// compare orders places as doc says: part by part, those at a path before
// those below it, then by type and sub.
func (p place) compare(o place) int {
	if c := slices.Compare(p.path, o.path); c != 0 {
		return c // a path that begins another one is the smaller one
	}
	if p.typ != o.typ {
		return int(p.typ) - int(o.typ)
	}
	return strings.Compare(p.sub, o.sub)
}

func TestKeysOrderAsTheirPathsDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPlace(t), drawPlace(t)
		if rapid.Bool().Draw(t, "same path") {
			b.path = a.path
		}
		if got, want := strings.Compare(string(a.key(t)), string(b.key(t))), a.compare(b); sign(got) != sign(want) {
			t.Fatalf("%v and %v compare as %d, their keys as %d", a, b, want, got)
		}
	})
}

func sign(i int) int { return max(-1, min(1, i)) }

func TestSplitUndoesMakeKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawPlace(t)
		p, typ, sub, err := a.key(t).Split()
		if err != nil || !slices.Equal(p, a.path) || typ != a.typ || sub != a.sub {
			t.Fatalf("%v came back as %q %q %q, error %v", a, p, typ, sub, err)
		}
	})
}

func TestSpansHoldExactlyTheirRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, other := drawPath(t), drawPlace(t)
		if rapid.Bool().Draw(t, "below") {
			other.path = append(slices.Clone(p), other.path...)
		}
		typ, sub := Type(partBytes.Draw(t, "type")), string(rapid.SliceOfN(partBytes, 0, 2).Draw(t, "sub"))
		k := other.key(t)
		at := slices.Equal(other.path, p)
		below := len(other.path) >= len(p) && slices.Equal(other.path[:len(p)], p)
		check := func(name string, s Span, err error, want bool) {
			if err != nil || s.Contains(k) != want {
				t.Fatalf("%s of %q holds %v: %v, want %v (error %v)", name, p, other, s.Contains(k), want, err)
			}
		}
		s, err := p.Subtree()
		check("subtree", s, err, below)
		s, err = p.Here()
		check("here", s, err, at)
		s, err = p.Of(typ, sub)
		check("type", s, err, at && other.typ == typ && strings.HasPrefix(other.sub, sub))
		check("everything", AllKeys, nil, true)
	})
}

func TestPathStringsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPath(t)
		q, err := ParsePath(p.String())
		if err != nil || !slices.Equal(p, q) {
			t.Fatalf("%q is written %q and read as %q, error %v", p, p.String(), q, err)
		}
	})
}

func TestMalformedPathsAreRefused(t *testing.T) {
	for _, p := range []Path{nil, {}, {""}, {"a", ""}, {"", "a"}, slices.Repeat(Path{"a"}, MaxPathParts+1),
		{strings.Repeat("a", MaxKeyBytes)}, {strings.Repeat("\x00", MaxKeyBytes/2)}} {
		if _, err := MakeKey(p, TypeRegister, ""); !errors.Is(err, ErrPath) {
			t.Errorf("path of %d parts: %v", len(p), err)
		}
	}
	for _, s := range []string{"", "/", "a/", "/a", "a//b"} {
		if _, err := ParsePath(s); !errors.Is(err, ErrPath) {
			t.Errorf("address %q: %v", s, err)
		}
	}
	for _, p := range []Path{{""}, nil} {
		_, e1 := p.Subtree()
		_, e2 := p.Here()
		_, e3 := p.Of(TypeRegister, "")
		if e1 == nil || e2 == nil || e3 == nil {
			t.Errorf("span of %q: %v, %v, %v", p, e1, e2, e3)
		}
	}
	if _, err := MakeKey(slices.Repeat(Path{"a"}, MaxPathParts), TypeRegister, ""); err != nil {
		t.Errorf("%d parts: %v", MaxPathParts, err)
	}
}

func TestEveryTruncatedKeyIsRefusedOrAnother(t *testing.T) {
	k, err := MakeKey(Path{"ab\x00c", "d"}, TypeCounter, "s\x00x")
	if err != nil {
		t.Fatal(err)
	}
	whole := len(k) - len("s\x00x")
	for cut := range len(k) {
		_, _, sub, err := k[:cut].Split()
		if cut < whole != (err != nil) || (err == nil && sub != "s\x00x"[:cut-whole]) {
			t.Errorf("cut at %d: sub %q, error %v", cut, sub, err)
		}
	}
}

func TestKeysKeepTheirBytes(t *testing.T) {
	var cases []goldenCase
	for _, p := range []place{
		{Path{"a"}, TypeRegister, ""},
		{Path{"features", "café\x00\x01\xff"}, TypeSetAddWins, "\xa1x"},
		{Path{"\x00", "\xff"}, TypeCounter, "s0123456789abcdef"},
	} {
		k, err := MakeKey(p.path, p.typ, p.sub)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, goldenCase{"key " + p.typ.String(), []byte(k)})
	}
	checkGolden(t, "key.golden", cases)
}

func TestValidatingAKeyAllocatesNothing(t *testing.T) {
	k, err := MakeKey(Path{"a", "b\x00c", "d"}, TypeCounter, "sub")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { err = k.Validate() }); n > 0 || err != nil {
		t.Errorf("%v allocations, error %v", n, err)
	}
}

// FuzzSplit: whatever Split takes is the one encoding of what it returns.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("a\x00\x00r"))
	f.Add([]byte("a\x00\xffb\x00\x01c\x00\x00csub"))
	f.Add([]byte("\x00\x00r"))
	f.Add([]byte(strings.Repeat("a\x00\x01", MaxPathParts) + "a\x00\x00r"))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		s := string(b)
		p, typ, sub, err := Key(s).Split()
		if again := Key(s).Validate(); fmt.Sprint(again) != fmt.Sprint(err) {
			t.Fatalf("%q splits with %v and validates with %v", s, err, again)
		}
		if err != nil {
			if !errors.Is(err, ErrPath) {
				t.Fatalf("error %v is not ErrPath", err)
			}
			return
		}
		if k, err := MakeKey(p, typ, sub); err != nil || string(k) != s {
			t.Fatalf("%q splits into %q %q %q, which makes %q, error %v", s, p, byte(typ), sub, k, err)
		}
	})
}
