package crdttest

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"pgregory.net/rapid"
)

// This file breaks lenses and merges on purpose and expects that the suite
// fails, and quotes the law. The lens is the smallest one there is: numbers
// under two keys, the latest wins; a negative number deletes.

type put struct {
	key crdt.Key
	n   int
}

func (p put) String() string { return fmt.Sprintf("%c=%d", p.key[0], p.n) }

func keys(t testing.TB) []crdt.Key {
	t.Helper()
	var ks []crdt.Key
	for _, part := range []string{"a", "b"} {
		k, err := crdt.MakeKey(crdt.Path{part}, '?', "")
		if err != nil {
			t.Fatal(err)
		}
		ks = append(ks, k)
	}
	return ks
}

func sound(t testing.TB) Lens[put] {
	return Lens[put]{
		Name: "sound",
		Op: rapid.Custom(func(r *rapid.T) put {
			return put{rapid.SampledFrom(keys(t)).Draw(r, "key"), rapid.IntRange(-1, 5).Draw(r, "n")}
		}),
		Apply: func(tx crdt.Tx, op put) error {
			if op.n < 0 {
				return tx.Remove(op.key)
			}
			return tx.Put(op.key, number(op.n))
		},
		Observe: func(v crdt.View) (string, error) { return winners(v, crdt.Record.Winner) },
		Model:   latest,
	}
}

func number(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func winners(v crdt.View, winner func(crdt.Record) *crdt.Event) (string, error) {
	var b strings.Builder
	for e, err := range v.Scan(crdt.AllKeys) {
		if err != nil {
			return "", err
		}
		if w := winner(e.Record); w != nil {
			fmt.Fprintf(&b, "%c=%d ", e.Key[0], binary.BigEndian.Uint16(w.Value))
		}
	}
	return b.String(), nil
}

// latest is the model: of the puts of a key that nothing superseded, the
// latest one.
func latest(h History[put]) string {
	out := ""
	for _, k := range []byte("ab") {
		var w *Step[put]
		same := func(p put) bool { return p.key[0] == k }
		live := h.Latest(func(p put) bool { return same(p) && p.n >= 0 }, same)
		for i := range live {
			if w == nil || live[i].Later(w) {
				w = &live[i]
			}
		}
		if w != nil {
			out += fmt.Sprintf("%c=%d ", k, w.Op.n)
		}
	}
	return out
}

// prune keeps of each record the removals and the winner among its values.
func prune(es []crdt.Entry) []crdt.Entry {
	var out []crdt.Entry
	for _, e := range es {
		w, kept := e.Record.Winner(), crdt.Record{}
		for i := range e.Record {
			if ev := e.Record[i]; ev.Removed || ev.Dot == w.Dot {
				kept = append(kept, ev)
			}
		}
		out = append(out, crdt.Entry{Key: e.Key, Record: kept})
	}
	return out
}

// mergePruning drops concurrent losers after the merge: r gets a delta of all
// that it covers, in which they are missing.
func mergePruning(r *crdt.Replica, d crdt.Delta) error {
	err := r.Merge(d)
	all := r.Delta(nil)
	all.Entries = prune(all.Entries)
	return errors.Join(err, r.Merge(all))
}

// mergeAdding adds up numbers where both sides have the event.
func mergeAdding(r *crdt.Replica, d crdt.Delta) error {
	d.Entries = slices.Clone(d.Entries)
	for i, e := range d.Entries {
		own, _ := r.View().Get(e.Key)
		rec := e.Record.Clone()
		for j := range rec {
			for _, mine := range own {
				if mine.Dot == rec[j].Dot && !mine.Removed {
					sum := binary.BigEndian.Uint16(mine.Value) + binary.BigEndian.Uint16(rec[j].Value)
					rec[j].Value = number(int(sum))
				}
			}
		}
		d.Entries[i].Record = rec
	}
	return r.Merge(d)
}

// mergeKeepingOwn prefers what is here to what is concurrent with it.
func mergeKeepingOwn(r *crdt.Replica, d crdt.Delta) error {
	d.Entries = slices.DeleteFunc(slices.Clone(d.Entries), func(e crdt.Entry) bool {
		own, _ := r.View().Get(e.Key)
		return len(own) > 0
	})
	return r.Merge(d)
}

// mergeLosing loses the first record of a delta that is not a whole state.
func mergeLosing(r *crdt.Replica, d crdt.Delta) error {
	if len(d.From) > 0 && len(d.Entries) > 0 {
		d.Entries = d.Entries[1:]
	}
	return r.Merge(d)
}

// winnerWithRemovals lets a removal beat the values that it did not see.
func winnerWithRemovals(rec crdt.Record) *crdt.Event {
	w := rec.Winner()
	for i := range rec {
		if rec[i].Removed && w != nil && rec[i].Later(w) {
			return nil
		}
	}
	return w
}

func TestSuiteNamesTheLawThatABrokenLensBreaks(t *testing.T) {
	tryAllCases(t)
	for _, c := range []struct {
		name    string
		law     Law
		spoil   func(l *Lens[put])
		merging mergeFunc
	}{
		{name: "refuses an operation", law: CallsSucceed, spoil: func(l *Lens[put]) {
			l.Apply = func(tx crdt.Tx, op put) error { return errors.New("not today") }
		}},
		{name: "sums what both sides hold", law: Idempotent, merging: mergeAdding},
		{name: "prefers its own", law: Commutative, merging: mergeKeepingOwn},
		{name: "prunes concurrent losers", law: Associative, merging: mergePruning},
		{name: "loses records of deltas", law: DeltaIsState, merging: mergeLosing},
		{name: "writes a map in its order", law: Canonical, spoil: func(l *Lens[put]) {
			l.Apply = func(tx crdt.Tx, op put) error {
				var b []byte
				for n := range map[int]bool{op.n + 1: true, op.n + 2: true, op.n + 3: true} {
					b = append(b, number(n)...)
				}
				return tx.Put(op.key, b)
			}
		}},
		{name: "lets a removal win", law: ReadsNoRemoval, spoil: func(l *Lens[put]) {
			l.Observe = func(v crdt.View) (string, error) { return winners(v, winnerWithRemovals) }
		}},
		{name: "shows the first sibling", law: EqualsItsModel, spoil: func(l *Lens[put]) {
			l.Observe = func(v crdt.View) (string, error) {
				return winners(v, func(rec crdt.Record) *crdt.Event {
					if vis := rec.Visible(); len(vis) > 0 {
						return &vis[0]
					}
					return nil
				})
			}
		}},
		{name: "forgets to delete", law: EqualsItsModel, spoil: func(l *Lens[put]) {
			apply := l.Apply
			l.Apply = func(tx crdt.Tx, op put) error {
				if op.n < 0 {
					return nil
				}
				return apply(tx, op)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, merge := sound(t), c.merging
			if l.Name = c.name; c.spoil != nil {
				c.spoil(&l)
			}
			if merge == nil {
				merge = (*crdt.Replica).Merge
			}
			out := failureOf(t, l, merge, func(law Law) bool { return law == c.law })
			if !strings.Contains(out, string(c.law)) {
				t.Errorf("want a failure that quotes\n  %s\ngot\n%s", c.law, out)
			}
			// What breaks one law may break others, and any may come first.
			out = failureOf(t, l, merge, func(Law) bool { return true })
			if !strings.Contains(out, "lens "+c.name+" breaks a law") {
				t.Errorf("all laws at once: want a failure that names the lens, got\n%s", out)
			}
		})
	}
}

// tryAllCases sets the number of cases for this test: some breaks take hundreds
// to show, whatever is asked for.
func tryAllCases(t *testing.T) {
	t.Helper()
	asked := flag.Lookup("rapid.checks").Value.String()
	if err := flag.Set("rapid.checks", fmt.Sprint(cases)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", asked) })
}

func TestSuitePassesASoundLens(t *testing.T) { Run(t, sound(t)) }

// failureOf runs the suite beside the test and returns what it says.
func failureOf(t *testing.T, l Lens[put], merge mergeFunc, tries func(Law) bool) string {
	rec := &recorder{name: t.Name()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(rec, l, merge, tries)
	}()
	<-done
	return rec.said.String()
}

// recorder is a test that may fail.
type recorder struct {
	name   string
	said   strings.Builder
	failed bool
}

func (r *recorder) Helper()                      {}
func (r *recorder) Name() string                 { return r.name }
func (r *recorder) Logf(f string, args ...any)   { fmt.Fprintf(&r.said, f+"\n", args...) }
func (r *recorder) Log(args ...any)              { fmt.Fprintln(&r.said, args...) }
func (r *recorder) Skipf(string, ...any)         { runtime.Goexit() }
func (r *recorder) Skip(...any)                  { runtime.Goexit() }
func (r *recorder) SkipNow()                     { runtime.Goexit() }
func (r *recorder) Errorf(f string, args ...any) { r.Logf(f, args...); r.Fail() }
func (r *recorder) Error(args ...any)            { r.Log(args...); r.Fail() }
func (r *recorder) Fatalf(f string, args ...any) { r.Logf(f, args...); r.FailNow() }
func (r *recorder) Fatal(args ...any)            { r.Log(args...); r.FailNow() }
func (r *recorder) FailNow()                     { r.Fail(); runtime.Goexit() }
func (r *recorder) Fail()                        { r.failed = true }
func (r *recorder) Failed() bool                 { return r.failed }
