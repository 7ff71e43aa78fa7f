package crdt

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTreeEqualsASortedMap compares every answer of the tree with a map's,
// and that older trees stay as they were.
func TestTreeEqualsASortedMap(t *testing.T) {
	keys := rapid.Custom(func(t *rapid.T) Key { return Key(rapid.StringN(0, 3, -1).Draw(t, "key")) })
	rapid.Check(t, func(t *rapid.T) {
		var root, old *tree
		model, oldKeys := map[Key]uint64{}, 0
		for i := range rapid.IntRange(0, 40).Draw(t, "puts") {
			if i == 20 {
				old, oldKeys = root, len(model)
			}
			k := keys.Draw(t, "key")
			root, model[k] = root.put(Entry{k, Record{{Dot: Dot{Seq: uint64(i) + 1}}}}), uint64(i)+1
		}
		s := Span{keys.Draw(t, "from"), keys.Draw(t, "to")}
		var want, got []Key
		for k, seq := range model {
			if rec := root.get(k); len(rec) != 1 || rec[0].Seq != seq {
				t.Fatalf("at %q is %v, want %d", string(k), rec, seq)
			}
			if s.Contains(k) {
				want = append(want, k)
			}
		}
		slices.Sort(want)
		root.scan(s, func(e Entry) bool { got = append(got, e.Key); return true })
		if !slices.Equal(got, want) {
			t.Fatalf("scan of %q: %q, want %q", s, got, want)
		}
		last := root.last(s)
		if (last == nil) != (len(want) == 0) || (last != nil && last.Key != want[len(want)-1]) {
			t.Fatalf("last of %q is %v", s, last)
		}
		n := 0
		old.scan(AllKeys, func(Entry) bool { n++; return true })
		if n != oldKeys {
			t.Fatalf("an older tree went from %d keys to %d", oldKeys, n)
		}
		if root.get("no such key") != nil {
			t.Fatal("found what was never put")
		}
	})
}
