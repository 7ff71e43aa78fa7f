package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// rejoin is a reconciliation that is under way at a store: everything below
// next was compared, or is staged.
type rejoin struct {
	*store.Reconciliation
	next crdt.Key
	sent *model // the last source, at its snapshot
}

// compare puts what differs at up to n keys from next on, and reports whether
// that was all.
func (r *rejoin) compare(t tb, source *store.Snapshot, n int) (all bool) {
	t.Helper()
	ours, theirs := recordsFrom(t, r.Snapshot(), r.next), recordsFrom(t, source, r.next)
	for ; n > 0; n-- {
		var k crdt.Key
		switch {
		case len(ours) == 0 && len(theirs) == 0:
			return true
		case len(theirs) == 0 || len(ours) > 0 && ours[0].Key <= theirs[0].Key:
			k = ours[0].Key
		default:
			k = theirs[0].Key
		}
		var a, b crdt.Record
		if len(ours) > 0 && ours[0].Key == k {
			a, ours = ours[0].Record, ours[1:]
		}
		if len(theirs) > 0 && theirs[0].Key == k {
			b, theirs = theirs[0].Record, theirs[1:]
		}
		if string(crdt.AppendCanonical(nil, a)) != string(crdt.AppendCanonical(nil, b)) {
			r.put(t, crdt.Entry{Key: k, Record: b})
		}
		r.next = k + "\x00"
	}
	return len(ours) == 0 && len(theirs) == 0
}

func (r *rejoin) put(t tb, e crdt.Entry) {
	t.Helper()
	if err := r.Put(e); err != nil {
		t.Fatal(err)
	}
}

// from goes on with another snapshot: what changed since below next comes
// first. It fails if the source does not fit.
func (r *rejoin) from(t tb, ns, source *store.Namespace, snap *store.Snapshot) error {
	if err := ns.Learn(source.Since(snap.Vector(), ns.Vector())); err != nil {
		t.Fatal(err)
	}
	staged := r.Staged()
	if err := r.From(source.Normalize(snap.Vector()), snap.Floor()); err != nil || r.next == "" {
		return err
	}
	for e, err := range snap.Changes(staged) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Key < r.next {
			r.put(t, e)
		}
	}
	return nil
}

func recordsFrom(t tb, s *store.Snapshot, from crdt.Key) (es []crdt.Entry) {
	for e, err := range s.Scan(crdt.Span{From: from}) {
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
	return es
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
	if err := r.from(t, w.ns[to], w.ns[from], source); errors.Is(err, store.ErrBelowFloor) {
		if rapid.Bool().Draw(t, "give up") {
			r.Abort()
			w.rejoins[to] = nil
		}
		return
	} else if err != nil {
		t.Fatal(err)
	}
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
			if err := r.from(t, w.ns[n], w.ns[from], source); err != nil {
				t.Fatal(err)
			}
			r.compare(t, source, 1<<30)
			source.Close()
			if _, err := r.Finish(); err != nil {
				t.Fatal(err)
			}
			w.models[n].merge(w.models[from])
		}
	}
	for n := range w.ns {
		if got, want := visible(t, w.ns[n]), w.models[0].visible(); !slices.Equal(got, want) {
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
				if got, want := visible(t, w.ns[n]), w.models[n].visible(); !slices.Equal(got, want) {
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
	if err := r.from(t, p, a, source); err != nil {
		t.Fatal(err)
	}
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

// A reconciliation that goes on with another source has the floors of both,
// and takes none that has collected beyond what is staged.
func TestAReconciliationWithSeveralSources(t *testing.T) {
	f := &fleet{t: t}
	a, b, p := f.openNamespace(1, vfs.NewMem()), f.openNamespace(2, vfs.NewMem()), f.openNamespace(3, vfs.NewMem())
	for i := range 4 {
		commit(t, a, set(numbered(i), "x"))
	}
	pull(t, p, a)
	commit(t, a, remove(numbered(0)), remove(numbered(3)))
	pull(t, b, a)
	collect(t, a, a.Vector())
	began, err := p.Reconcile()
	if err != nil {
		t.Fatal(err)
	}
	r := &rejoin{Reconciliation: began}
	source := snapshot(t, a)
	defer source.Close()
	if err := r.from(t, p, a, source); err != nil || r.compare(t, source, 2) {
		t.Fatal("it ended at once", err)
	}
	commit(t, b, remove(numbered(1)), remove(numbered(2)))
	early := b.Vector()
	later := snapshot(t, b)
	defer later.Close()
	commit(t, b, set(numbered(4), "y"))
	collect(t, b, early)
	beyond := snapshot(t, b)
	defer beyond.Close()
	if err := r.from(t, p, b, beyond); !errors.Is(err, store.ErrBelowFloor) {
		t.Errorf("a source that collected more than is staged: %v", err)
	}
	if err := r.from(t, p, b, later); err != nil || !r.compare(t, later, 1<<30) {
		t.Fatal(err)
	}
	if _, err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := visible(t, p); len(got) != 1 { // the vector
		t.Errorf("it reads %v", got)
	}
	if !p.Floor().CoversAll(a.Floor()) || len(a.Floor()) == 0 {
		t.Errorf("the floor is %v, want that of the first source too, %v", p.Floor(), a.Floor())
	}
}
