package store_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// rejoin is a reconciliation that is under way at a store.
type rejoin struct {
	*store.Reconciliation
	sent *model // the last source, at its snapshot
}

// compare puts what differs at up to n keys, and reports whether that was all.
func (r *rejoin) compare(t tb, source *store.Snapshot, n int) (all bool) {
	t.Helper()
	ours, theirs := recordsOf(t, r.View()), recordsOf(t, source)
	for _, k := range slices.Sorted(maps.Keys(union(ours, theirs))) {
		if crdtBytes(ours[k]) == crdtBytes(theirs[k]) {
			continue
		}
		if n--; n < 0 {
			return false
		}
		r.put(t, crdt.Entry{Key: k, Record: theirs[k]})
	}
	return true
}

func crdtBytes(rec crdt.Record) string { return string(crdt.AppendCanonical(nil, rec)) }

func union(a, b map[crdt.Key]crdt.Record) map[crdt.Key]crdt.Record {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func (r *rejoin) put(t tb, e crdt.Entry) {
	t.Helper()
	if err := r.Put(e); err != nil {
		t.Fatal(err)
	}
}

// from goes on with a snapshot.
func (r *rejoin) from(t tb, ns, source *store.Namespace, snap *store.Snapshot) {
	t.Helper()
	news, err := source.WriterRecords(snap.Past().Since(source.Past(ns.Vector())))
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Learn(news); err != nil {
		t.Fatal(err)
	}
	if err := r.From(snap.Past().Normal(), snap.Floor()); err != nil {
		t.Fatal(err)
	}
}

func recordsOf(t tb, s store.View) map[crdt.Key]crdt.Record {
	records, last := map[crdt.Key]crdt.Record{}, crdt.Key("")
	for e, err := range s.Scan(crdt.AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Key <= last || len(e.Record) == 0 {
			t.Fatalf("%q with %d events comes after %q", e.Key, len(e.Record), last)
		}
		records[e.Key], last = e.Record, e.Key
	}
	return records
}

// reconcile goes on with the reconciliation of a store, or begins one.
func (w *world) reconcile(t *rapid.T) {
	from := rapid.IntRange(0, 2).Draw(t, "from")
	to := (from + rapid.IntRange(1, 2).Draw(t, "to")) % 3
	r := w.rejoins[to]
	if r == nil {
		began, err := w.ns[to].Reconcile()
		if err != nil {
			t.Fatal(err)
		}
		r = &rejoin{Reconciliation: began}
		w.rejoins[to] = r
	}
	source := snapshot(t, w.ns[from])
	defer source.Close()
	r.from(t, w.ns[to], w.ns[from], source)
	r.sent = w.models[from].clone()
	if !r.compare(t, source, rapid.IntRange(0, 12).Draw(t, "keys")) {
		return
	}
	overtake := rapid.Bool().Draw(t, "the receiver commits meanwhile")
	_, err := r.FinishOvertaken(func() {
		if overtake {
			w.commitTo(t, to)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.models[to].merge(r.sent)
	w.rejoins[to] = nil
}

// reconcileAll reconciles until all have everything.
func (w *world) reconcileAll(t *rapid.T) {
	for range 2 {
		for n := range w.ns {
			from := (n + 1) % 3
			began, err := w.ns[n].Reconcile()
			if err != nil {
				t.Fatal(err)
			}
			r := &rejoin{Reconciliation: began}
			source := snapshot(t, w.ns[from])
			r.from(t, w.ns[n], w.ns[from], source)
			r.compare(t, source, 1<<30)
			source.Close()
			if _, err := r.Finish(); err != nil {
				t.Fatal(err)
			}
			w.models[n].merge(w.models[from])
		}
	}
	for n := range w.ns {
		if got, want := visibleAt(t, w.ns[n], w.expired), w.models[0].visibleAt(w.expired); !slices.Equal(got, want) {
			t.Fatalf("store %d reads\n%v\nwant\n%v", n, got, want)
		}
	}
}

// A node that reconciles, in steps and with several sources, while all of them
// go on, ends with what joining whole states that were never collected gives.
func TestAnyReconciliationIsReadAsWithoutCollections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newCollectingWorld(t)
		defer w.close()
		t.Repeat(w.actions(map[string]func(*rapid.T){
			"reconcile":  w.reconcile,
			"reconcile2": w.reconcile,
			"reconcile3": w.reconcile,
		}))
		for n := range w.rejoins {
			w.abort(n)
		}
		w.reconcileAll(t)
		w.checkAll(t)
	})
}

func newCollectingWorld(t *rapid.T) *world {
	w := &world{fleet: fleet{t: t}}
	for n := range w.disks {
		w.disks[n] = vfs.NewMem()
		w.models[n] = newModel()
		w.past[n] = []crdt.Vector{{}}
		w.open(n)
	}
	return w
}

// actions are those of any history with collections, and more.
func (w *world) actions(more map[string]func(*rapid.T)) map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"commit":  w.commit,
		"pull":    w.pullAbove,
		"pull2":   w.pullAbove,
		"pull3":   w.pullAbove,
		"collect": w.collect,
		"reopen":  w.reopen,
		"": func(t *rapid.T) {
			for n := range w.ns {
				if got, want := visibleAt(t, w.ns[n], w.expired), w.models[n].visibleAt(w.expired); !slices.Equal(got, want) {
					t.Fatalf("store %d reads\n%v\nwant\n%v", n, got, want)
				}
			}
		},
	}
	for name, action := range more {
		all[name] = action
	}
	return all
}

func (w *world) abort(n int) {
	if r := w.rejoins[n]; r != nil {
		r.Abort()
		w.rejoins[n] = nil
	}
}

func (w *world) checkAll(t *rapid.T) {
	for n, s := range w.stores {
		if err := s.Check(context.Background()); err != nil {
			t.Fatalf("store %d: %v", n, err)
		}
	}
}

// What was equal when it was compared, and got an event since that the source
// had superseded, is not left with that event.
func TestAReconciliationDropsWhatCameSinceItWasCompared(t *testing.T) {
	f := &fleet{t: t}
	a, b, p := f.openNamespace(1, vfs.NewMem()), f.openNamespace(2, vfs.NewMem()), f.openNamespace(3, vfs.NewMem())
	commit(t, a, set(numbered(0), "first"))
	pull(t, p, a)
	pull(t, b, a)
	commit(t, b, set(numbered(1), "x"), set(numbered(2), "stays"))
	pull(t, a, b)
	commit(t, a, remove(numbered(1)))
	collect(t, a, a.Vector())
	began, err := p.Reconcile()
	if err != nil {
		t.Fatal(err)
	}
	r := &rejoin{Reconciliation: began}
	source := snapshot(t, a)
	defer source.Close()
	r.from(t, p, a, source)
	r.compare(t, source, 1<<30)
	pull(t, p, b)
	commit(t, p, set(numbered(3), "ours"), set(numbered(2), "ours"))
	if got := get(t, p, numbered(1)); len(got) != 1 {
		t.Fatalf("before: %v", got)
	}
	if _, err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, p, numbered(1)); len(got) != 0 {
		t.Errorf("the removed value %v is back", got)
	}
	for k, want := range map[int]string{0: "first", 2: "ours", 3: "ours"} {
		if got := get(t, p, numbered(k)); !slices.Equal(got, []string{want}) {
			t.Errorf("at %d there is %v, want %s", k, got, want)
		}
	}
	if !p.Floor().CoversAll(a.Floor()) {
		t.Errorf("the floor is %v, want that of the source, %v", p.Floor(), a.Floor())
	}
}

// A reconciliation that goes on with another source finds there what differs
// from what is staged, whichever of the two knows more.
func TestAReconciliationGoesOnWithAnotherSource(t *testing.T) {
	for _, swap := range []bool{false, true} {
		f := &fleet{t: t}
		a, b, p := f.openNamespace(1, vfs.NewMem()), f.openNamespace(2, vfs.NewMem()), f.openNamespace(3, vfs.NewMem())
		for i := range 4 {
			commit(t, a, set(numbered(i), "x"))
		}
		pull(t, p, a)
		commit(t, a, remove(numbered(0)), set(numbered(1), "y"), remove(numbered(3)), set(numbered(5), "z"))
		pull(t, b, a)
		collect(t, a, a.Vector())
		commit(t, b, remove(numbered(1)), set(numbered(0), "again"))
		collect(t, b, b.Vector())
		if swap {
			a, b = b, a
		}
		began, err := p.Reconcile()
		if err != nil {
			t.Fatal(err)
		}
		r := &rejoin{Reconciliation: began}
		for i, from := range []*store.Namespace{a, b} {
			source := snapshot(t, from)
			defer source.Close()
			r.from(t, p, from, source)
			if all := r.compare(t, source, []int{3, 1 << 30}[i]); all != (i == 1) {
				t.Fatalf("source %d: it has compared all: %v", i, all)
			}
		}
		if _, err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		if got, want := visible(t, p), visible(t, b); !slices.Equal(got, want) {
			t.Errorf("it reads\n%v\nwant\n%v", got, want)
		}
		if !p.Floor().Equal(b.Floor()) {
			t.Errorf("the floor is %v, want %v", p.Floor(), b.Floor())
		}
	}
}
