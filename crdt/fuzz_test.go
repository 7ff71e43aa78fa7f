package crdt

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// FuzzLenses writes any values where a lens reads, as a member may that has a
// write grant: two concurrent ones of each type, at its own key and at one
// beside it. Every reader answers with a value or says that there is none.
func FuzzLenses(f *testing.F) {
	for _, b := range [][]byte{
		{0xc3}, {0x01}, {0xc4, 1, 'a'}, appendSlot(nil, amount{Dot{WriterID{2}, 7}, 1<<64 - 1, 1}),
		appendAmounts(nil, []amount{{Dot{WriterID{2}, 1}, 1<<64 - 1, 2}}), append(make([]byte, 8), 0xc3), {0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1},
	} {
		f.Add(append([]byte{0}, b...))
		f.Add(append([]byte{byte(len(b))}, bytes.Repeat(b, 2)...))
	}
	f.Add(append([]byte{17}, append(append([]byte{'s'}, make([]byte, 16)...), 0x92, 1, 2)...)) // a slot's key, and its value
	types := []Type{'r', 'v', 'c', 's', 'S', 'f', 'F', 'x', 'n', 'l', '?'}
	fuzz.Decoder(f, 8192, func(t *testing.T, in []byte) {
		if len(in) == 0 || len(in) > 4096 {
			return
		}
		n := min(int(in[0]), len(in)-1)
		sub, value := string(in[1:1+n]), in[1+n:]
		a, b := duo()
		for _, r := range []*Replica{a, b} {
			commit(t, r, 1, func(tx Tx) error {
				for _, typ := range types {
					for _, s := range []string{"", sub} {
						k, err := MakeKey(Path{"p"}, typ, s)
						if err != nil {
							return nil // too long for a key
						}
						if err := tx.Put(k, value); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		meet(t, a, b)
		readLenses(t, a, types)
	})
}

// readLenses reads all that is at the path p, and then does what changes it.
func readLenses(t *testing.T, r *Replica, types []Type) {
	v, p := r.View(), Path{"p"}
	check := func(err error) {
		t.Helper()
		for _, known := range []error{nil, ErrValue, ErrMissing, ErrWrongType, ErrUnknownType, ErrOverflow, ErrPath} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Errorf("an error of another kind: %v", err)
	}
	for _, typ := range types {
		raw, err := Fold(v, p, typ)
		check(err)
		text, err2 := FoldJSON(v, p, typ)
		check(err2)
		if (err == nil) != (err2 == nil) {
			t.Errorf("%v: %v, and as JSON %v", typ, err, err2)
		}
		if err == nil {
			c, err := Canonical(raw)
			if err != nil || !bytes.Equal(c, raw) || !json.Valid(text) {
				t.Errorf("%v folds to %x, or %s: %v", typ, raw, text, err)
			}
		}
	}
	drop := func(_ any, err error) { t.Helper(); check(err) }
	drop(NewRegister[any]("p").Get(v))
	drop(NewRegister[any]("p").Conflicts(v))
	drop(NewMultiValue[string]("p").Get(v))
	drop(NewCounter("p").Get(v))
	drop(NewCounter("p").Big(v))
	drop(NewSet[any](AddWins, "p").List(v))
	drop(NewSet[int](RemoveWins, "p").List(v))
	drop(NewFlag(EnableWins, "p").Enabled(v))
	drop(NewFlag(DisableWins, "p").Enabled(v))
	drop(NewMax[int64]("p").Get(v))
	drop(NewMin[float64]("p").Get(v))
	drop(NewLog[any]("p").List(v))
	drop(NewMap[any]("p").Get(v))
	drop(NewMap[map[string]any]("p").JSON(v))
	drop(MeasureCounters(v))
	drop(Digest(v))
	for _, change := range []func(Tx) error{
		func(tx Tx) error { return NewCounter("p").Add(tx, 1) },
		func(tx Tx) error { _, err := NewCounter("p").Reset(tx); return err },
		func(tx Tx) error { return NewLog[int]("p").Append(tx, 1) },
		func(tx Tx) error { return NewMax[int64]("p").Set(tx, 1) },
		func(tx Tx) error { return NewMap[any]("p").Put(tx, map[string]any{"a": 1}) },
		func(tx Tx) error { _, err := NewSet[any](AddWins, "p").Delete(tx); return err },
		func(tx Tx) error { _, err := NewCounter("p").Delete(tx); return err },
	} {
		check(r.Update(2, change))
	}
}

// FuzzParsePath: a path that is read is written as text that is read as it.
func FuzzParsePath(f *testing.F) {
	f.Add([]byte("a%2Fb/%25/%2f%252F"))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		p, err := ParsePath(string(b))
		if err != nil {
			if !errors.Is(err, ErrPath) {
				t.Error(err)
			}
			return
		}
		again, err := ParsePath(p.String())
		if err != nil || again.String() != p.String() || len(again) != len(p) {
			t.Errorf("%q is %q, then %q (%v)", b, []string(p), []string(again), err)
		}
		for i := range p {
			if again[i] != p[i] {
				t.Errorf("%q is %q, then %q", b, []string(p), []string(again))
			}
		}
	})
}

// FuzzRaw: a Raw within other JSON, or within other msgpack, is canonical.
func FuzzRaw(f *testing.F) {
	f.Add([]byte(`{"A":{"$bytes":"AA=="}}`))
	f.Add([]byte("\x81\xa1A\x92\x01\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"))
	for _, b := range bombsInAField() {
		f.Add(b)
	}
	fuzz.Decoder(f, 512, func(t *testing.T, b []byte) {
		var v struct{ A Raw }
		if json.Unmarshal(b, &v) == nil && v.A != nil {
			wantCanonical(t, v.A)
		}
		var raw Raw
		if raw.UnmarshalJSON(b) == nil {
			wantCanonical(t, raw)
		}
		if raw.UnmarshalMsgpack(b) == nil {
			wantCanonical(t, raw)
		}
		if w, err := Decode[struct{ A Raw }](b); err == nil && w.A != nil {
			wantCanonical(t, w.A)
			if _, err := msgpack.Marshal(w); err != nil {
				t.Errorf("%x is not written again: %v", b, err)
			}
		}
	})
}

func wantCanonical(t *testing.T, v Raw) {
	t.Helper()
	if c, err := Canonical(v); err != nil || !bytes.Equal(c, v) {
		t.Errorf("%x, which is %x (%v)", v, c, err)
	}
}

// bombsInAField are the msgpack bombs as a field of a struct.
func bombsInAField() (all [][]byte) {
	for _, b := range [][]byte{{0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0x7f, 0xff, 0xff, 0xff}, bytes.Repeat([]byte{0x91}, 10_000)} {
		all = append(all, append([]byte("\x81\xa1A"), b...))
	}
	return all
}
