package replica

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
)

// txModel is what a namespace shows, as a map: nil is a removal.
type txModel map[crdt.Key]*string

// within returns the model's keys in s, in order.
func (m txModel) within(s crdt.Span) []crdt.Key {
	keys := slices.Collect(maps.Keys(m))
	keys = slices.DeleteFunc(keys, func(k crdt.Key) bool { return !s.Contains(k) })
	slices.Sort(keys)
	return keys
}

// check compares a record read at k.
func (m txModel) check(t *rapid.T, how string, k crdt.Key, rec crdt.Record) {
	t.Helper()
	want, there := m[k]
	switch {
	case !there:
		if rec != nil {
			t.Fatalf("%s: %q has %d events, want none", how, k, len(rec))
		}
	case len(rec) != 1 || rec[0].Removed != (want == nil):
		t.Fatalf("%s: %q reads %+v, want removed %v", how, k, rec, want == nil)
	case want != nil && string(rec[0].Value) != *want:
		t.Fatalf("%s: %q reads %q, want %q", how, k, rec[0].Value, *want)
	}
}

// modelKeys are few, so that they collide, and of several paths and subs.
func modelKeys() (keys []crdt.Key) {
	for _, p := range []crdt.Path{{"a"}, {"a", "b"}, {"b"}, {"c"}} {
		for sub := range 5 {
			k, err := crdt.MakeKey(p, crdt.TypeLog, string(rune('0'+sub)))
			if err != nil {
				panic(err)
			}
			keys = append(keys, k)
		}
	}
	return keys
}

// TestTransactionsReadTheirWrites drives random transactions, some of which
// fail, against a map.
func TestTransactionsReadTheirWrites(t *testing.T) {
	db := openOn(t, vfs.NewMem())
	var runs atomic.Int64
	keys := modelKeys()
	rapid.Check(t, func(t *rapid.T) {
		ns, err := db.Namespace(fmt.Sprintf("n%d", runs.Add(1)))
		if err != nil {
			t.Fatal(err)
		}
		committed := txModel{}
		for range rapid.IntRange(1, 6).Draw(t, "transactions") {
			model := maps.Clone(committed)
			fails := errors.New("on purpose")
			err := ns.UpdateWith(t.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
				for range rapid.IntRange(0, 30).Draw(t, "ops") {
					modelStep(t, tx, model, keys)
				}
				if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
					return fails
				}
				return nil
			})
			if err == nil {
				committed = model
			} else if err != fails {
				t.Fatal(err)
			}
		}
		err = ns.View(t.Context(), func(v *View) error {
			modelScan(t, v, committed, crdt.AllKeys, len(keys)+1)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Drop(ns.Name()); err != nil {
			t.Fatal(err)
		}
	})
}

// modelStep does one random thing to both.
func modelStep(t *rapid.T, tx *Tx, model txModel, keys []crdt.Key) {
	key := rapid.SampledFrom(keys)
	k := key.Draw(t, "key")
	switch op := rapid.SampledFrom([]string{"put", "put", "remove", "get", "scan", "last"}).Draw(t, "op"); op {
	case "put":
		v := rapid.StringMatching(`[a-z]{0,3}`).Draw(t, "value")
		buf := []byte(v)
		if err := tx.Put(k, buf); err != nil {
			t.Fatal(err)
		}
		clear(buf) // no reference to it may be kept
		model[k] = &v
	case "remove":
		if err := tx.Remove(k); err != nil {
			t.Fatal(err)
		}
		model[k] = nil
	case "get":
		rec, err := tx.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		model.check(t, op, k, rec)
	case "scan":
		modelScan(t, tx, model, modelSpan(t, key), rapid.IntRange(1, 20).Draw(t, "stop"))
	case "last":
		modelLast(t, tx, model, modelSpan(t, key))
	}
}

func modelSpan(t *rapid.T, key *rapid.Generator[crdt.Key]) (s crdt.Span) {
	if rapid.Bool().Draw(t, "from") {
		s.From = key.Draw(t, "from key")
	}
	if rapid.Bool().Draw(t, "to") {
		s.To = key.Draw(t, "to key")
	}
	return s
}

// modelScan compares a scan that stops after some records.
func modelScan(t *rapid.T, v crdt.View, model txModel, s crdt.Span, stop int) {
	var got []crdt.Key
	for e, err := range v.Scan(s) {
		if err != nil {
			t.Fatal(err)
		}
		model.check(t, "scan", e.Key, e.Record)
		if got = append(got, e.Key); len(got) == stop {
			break
		}
	}
	want := model.within(s)
	if want = want[:min(stop, len(want))]; !slices.Equal(got, want) {
		t.Fatalf("scan %q has the keys\n%q, want\n%q", s, got, want)
	}
}

func modelLast(t *rapid.T, v crdt.View, model txModel, s crdt.Span) {
	e, ok, err := v.Last(s)
	want := model.within(s)
	if err != nil || ok != (len(want) > 0) {
		t.Fatalf("last of %q: %v (%v), want one of %q", s, ok, err, want)
	}
	if !ok {
		return
	}
	if e.Key != want[len(want)-1] {
		t.Fatalf("last of %q is %q, want %q", s, e.Key, want[len(want)-1])
	}
	model.check(t, "last", e.Key, e.Record)
}
