package store_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// foldOf is a fold that keeps all of a span.
func foldOf(t tb, s *store.Snapshot, span crdt.Span) map[crdt.Key]string {
	t.Helper()
	fold := map[crdt.Key]string{}
	for e, err := range s.Scan(span) {
		if err != nil {
			t.Fatal(err)
		}
		fold[e.Key] = string(crdt.AppendCanonical(nil, e.Record))
	}
	return fold
}

// follow returns what is recalled of a span, with what is read of the keys that
// changed, and whether there is anything.
func follow(t tb, s *store.Snapshot, span crdt.Span) (map[crdt.Key]string, bool) {
	t.Helper()
	fold, changed := s.Recall(span)
	if fold == nil {
		return nil, false
	}
	now := maps.Clone(fold.(map[crdt.Key]string))
	for _, k := range changed {
		rec, err := s.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		if delete(now, k); len(rec) > 0 {
			now[k] = string(crdt.AppendCanonical(nil, rec))
		}
	}
	return now, true
}

// readers hold snapshots of a world's stores.
type readers struct {
	*world
	held [3][]*store.Snapshot
	hits int
}

var someSpans = []crdt.Span{
	{From: numbered(0), To: numbered(2)}, {From: numbered(2), To: numbered(6)},
	{From: numbered(6)}, {From: numbered(1), To: numbered(3)}, crdt.AllKeys,
}

// look reads the spans at the snapshots of a store, and at a new one.
func (r *readers) look(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "store")
	held := r.held[n]
	if len(held) < 3 {
		held = append(held, snapshot(t, r.ns[n]))
		r.held[n] = held
	}
	for _, s := range held {
		for _, span := range someSpans {
			got, ok := follow(t, s, span)
			if !ok {
				continue
			}
			if r.hits++; !maps.Equal(got, foldOf(t, s, span)) {
				t.Fatalf("store %d at commit %d recalls of %q\n%q\nand reads\n%q", n, s.Number(), span, got, foldOf(t, s, span))
			}
		}
	}
	s := rapid.SampledFrom(held).Draw(t, "snapshot")
	span := rapid.SampledFrom(someSpans).Draw(t, "span")
	s.Remember(span, foldOf(t, s, span), 100)
}

func (r *readers) letGo(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "store")
	for len(r.held[n]) > 0 {
		r.held[n][0].Close()
		r.held[n] = r.held[n][1:]
	}
}

func (r *readers) letAllGo() {
	for n := range r.held {
		for _, s := range r.held[n] {
			s.Close()
		}
		r.held[n] = nil
	}
}

// Whatever is committed, applied, merged and collected, a snapshot recalls of a
// span what it reads there.
func TestAnyHistoryRecallsWhatItReads(t *testing.T) {
	hits := 0
	rapid.Check(t, func(t *rapid.T) {
		r := &readers{world: newCollectingWorld(t)}
		defer r.close()
		defer func() {
			r.letAllGo()
			for n := range r.rejoins {
				r.abort(n)
			}
		}()
		t.Repeat(r.actions(map[string]func(*rapid.T){
			"look": r.look, "look2": r.look, "look3": r.look, "look4": r.look,
			"let go": r.letGo,
			"commit": r.commit, "commit2": r.commit,
			"reconcile": r.reconcile, "reconcile2": r.reconcile,
			"reopen": func(t *rapid.T) {
				r.letAllGo()
				r.reopen(t)
			},
		}))
		hits += r.hits
	})
	if hits == 0 {
		t.Error("nothing was ever recalled")
	}
}

func TestASnapshotRecallsOnlyWhatItShows(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	span := crdt.Span{From: numbered(0), To: numbered(100)}
	check := func(s *store.Snapshot, want any, wantChanged ...crdt.Key) {
		t.Helper()
		got, changed := s.Recall(span)
		if slices.Sort(changed); got != want || !slices.Equal(changed, wantChanged) {
			t.Errorf("at commit %d: recalled %v, but for %q; want %v, but for %q", s.Number(), got, changed, want, wantChanged)
		}
	}
	now := func() *store.Snapshot {
		s := snapshot(t, ns)
		t.Cleanup(func() { s.Close() })
		return s
	}
	commit(t, ns, set(numbered(1), "a"))
	old := now()
	check(old, nil)
	old.Remember(span, "old", 1)
	check(old, "old")

	commit(t, ns, set(numbered(100), "elsewhere"))
	check(now(), "old")
	commit(t, ns, set(numbered(9), "b"))
	later := now()
	check(later, "old", numbered(9))
	commit(t, ns, set(numbered(3), "c"))
	commit(t, ns, set(numbered(9), "d"))
	check(old, "old", numbered(3), numbered(9))
	later.Remember(span, "later", 1)
	check(now(), "later", numbered(3), numbered(9))
	check(old, nil) // it is from after
	old.Remember(span, "old", 1)
	check(now(), "later", numbered(3), numbered(9))

	for i := range 17 {
		commit(t, ns, set(numbered(20+i), "many"))
	}
	check(now(), nil)
	later.Remember(span, "later", 1) // it is not known any more what changed
	check(now(), nil)
	now().Remember(span, "now", 1)
	check(now(), "now")
}

func TestAFoldThatWasOvertakenBeforeItsSpanWasKnownIsNotKept(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	old := snapshot(t, ns)
	defer old.Close()
	commit(t, ns, set(numbered(0), "a"))
	now := snapshot(t, ns)
	defer now.Close()
	old.Remember(crdt.AllKeys, "old", 1)
	if fold, _ := now.Recall(crdt.AllKeys); fold != nil {
		t.Errorf("recalled %v", fold)
	}
	now.Remember(crdt.AllKeys, "now", 1)
	if fold, changed := now.Recall(crdt.AllKeys); fold != "now" || len(changed) > 0 {
		t.Errorf("recalled %v, but for %q", fold, changed)
	}
}

func TestMemosTakeTheMemoryThatTheyMay(t *testing.T) {
	f := &fleet{t: t}
	o := f.options(0, vfs.NewMem())
	o.MemoBytes = 10_000
	st := f.openWith(o)
	a, err := st.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := st.Create("b")
	if err != nil {
		t.Fatal(err)
	}
	one := func(i int) crdt.Span { return crdt.Span{From: numbered(i), To: numbered(i + 1)} }
	sa, sb := snapshot(t, a), snapshot(t, b)
	defer sa.Close()
	defer sb.Close()
	sa.Remember(one(0), "large", 5000)
	if got, _ := sa.Recall(one(0)); got != nil {
		t.Errorf("half of all memory was given to %v", got)
	}
	sb.Remember(one(1_000_000), "hot", 3)
	for i := range 1000 {
		sa.Remember(one(i), i, 8)
		if kept := store.MemoBytes(a); kept > 10_000 {
			t.Fatalf("after %d spans %d bytes are kept", i, kept)
		}
		if got, _ := sb.Recall(one(1_000_000)); got != "hot" {
			t.Fatalf("what is in use was dropped after %d spans", i)
		}
	}
	if kept := store.MemoBytes(a); kept <= 0 || kept > 10_000 {
		t.Errorf("%d bytes are kept, of 10,000", kept)
	}
	for _, name := range []string{"a", "b"} {
		if err := st.Drop(name); err != nil {
			t.Fatal(err)
		}
	}
	sa.Remember(one(0), "late", 4)
	if kept := store.MemoBytes(a); kept != 0 {
		t.Errorf("%d bytes are kept of namespaces that are gone", kept)
	}
}

func TestMemosAreSharedByReadersAndWriters(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	span := crdt.Span{From: numbered(0), To: numbered(4)}
	done := make(chan struct{})
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				s, err := ns.Snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				want := foldOf(t, s, span)
				if got, ok := follow(t, s, span); ok && !maps.Equal(got, want) {
					t.Errorf("recalled %q, read %q", got, want)
				}
				s.Remember(span, want, 100)
				s.Close()
			}
		})
	}
	for i := range 2000 {
		commit(t, ns, set(numbered(1+i%2*7), fmt.Sprint(i)))
	}
	close(done)
	running.Wait()
}
