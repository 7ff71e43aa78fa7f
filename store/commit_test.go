package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/crashdisk"
	"github.com/anabranch-db/anabranch/store"
)

func TestALocalPutIsOneBatchOfTwoSmallRecords(t *testing.T) {
	f := &fleet{t: t}
	ns := f.openNamespace(1, vfs.NewMem())
	commit(t, ns, set(key("first"), "begins the writer"))
	for _, w := range []*store.Write{
		{Ops: []store.Op{set(key("k"), "v")}},
		{Ops: []store.Op{set(key("k"), "over it")}, Buffered: true},
		{Ops: []store.Op{{Key: key("k"), Removed: true}}},
	} {
		puts, bytes := ns.Build(t, w)
		if puts != 2 {
			t.Errorf("%+v puts %d keys, want a record and a log entry", w, puts)
		}
		if most := 2*len(key("k")) + len(w.Ops[0].Value) + 64; bytes > most {
			t.Errorf("%+v takes %d bytes, want at most %d", w, bytes, most)
		}
	}
}

func TestATransactionConflictsWithWhatWasWrittenSinceItRead(t *testing.T) {
	f := &fleet{t: t}
	subtree, _ := crdt.Path{"dir"}.Subtree()
	for _, tc := range []struct {
		name     string
		read     func(*store.ReadSet)
		written  crdt.Key
		conflict bool
	}{
		{"nothing read", func(*store.ReadSet) {}, key("a"), false},
		{"the key read", func(r *store.ReadSet) { r.Key(key("a")) }, key("a"), true},
		{"a key that was missing", func(r *store.ReadSet) { r.Key(key("new")) }, key("new"), true},
		{"another key", func(r *store.ReadSet) { r.Key(key("a")) }, key("b"), false},
		{"the first of many keys", func(r *store.ReadSet) { readMany(r) }, numbered(0), true},
		{"the last of many keys", func(r *store.ReadSet) { readMany(r) }, numbered(99), true},
		{"none of many keys", func(r *store.ReadSet) { readMany(r) }, numbered(100), false},
		{"many keys of before", func(r *store.ReadSet) { readMany(r); r.Reset() }, numbered(99), false},
		{"a key after many", func(r *store.ReadSet) { readMany(r); r.Reset(); r.Key(key("a")) }, key("a"), true},
		{"covered, between what was read", func(r *store.ReadSet) { readMany(r); r.Cover(crdt.Span{From: key("z"), To: key("zz")}) }, key("u"), true},
		{"covered, the last", func(r *store.ReadSet) {
			r.Cover(crdt.Span{From: key("a"), To: key("b")})
			readMany(r)
			r.Cover(subtree)
		}, numbered(99), true},
		{"covered, behind a span without end", func(r *store.ReadSet) { r.Span(crdt.Span{From: key("y")}); r.Cover(subtree) }, key("z"), true},
		{"outside what is covered", func(r *store.ReadSet) { r.Key(key("b")); r.Cover(subtree) }, key("a"), false},
		{"in the span", func(r *store.ReadSet) { r.Span(subtree) }, key("dir", "x"), true},
		{"outside the span", func(r *store.ReadSet) { r.Span(subtree) }, key("other"), false},
		{"in a second span", func(r *store.ReadSet) {
			r.Span(subtree)
			r.Span(crdt.Span{From: key("o"), To: key("p")})
		}, key("other"), true},
	} {
		for _, how := range []string{"commit", "apply", "staged apply"} {
			t.Run(tc.name+" by "+how, func(t *testing.T) {
				o := f.options(1, vfs.NewMem())
				if how == "staged apply" {
					o.StageBytes = 1
				}
				ns, other := create(t, f.openWith(o)), f.openNamespace(2, vfs.NewMem())
				at := snapshotNumber(t, ns)
				var reads store.ReadSet
				tc.read(&reads)
				if how == "commit" {
					commit(t, ns, set(tc.written, "x"))
				} else {
					commit(t, other, set(tc.written, "x"), set(key("unread", "1"), "y"))
					pull(t, ns, other)
				}
				_, err := ns.Commit(&store.Write{
					Ops: []store.Op{set(key("mine"), "z")}, Reads: &reads, Snapshot: at, Buffered: true,
				})
				// A staged delta is remembered as a whole.
				want := tc.conflict || how == "staged apply" && tc.name != "nothing read" && tc.name != "many keys of before"
				if errors.Is(err, store.ErrConflict) != want {
					t.Errorf("got %v, want a conflict: %v", err, want)
				}
				if got := get(t, ns, key("mine")); (len(got) == 0) != want {
					t.Errorf("after %v there is %q", err, got)
				}
			})
		}
	}
}

// readMany adds numbered records, some twice.
func readMany(r *store.ReadSet) {
	for i := range 110 {
		r.Key(numbered(i % 100))
	}
}

func TestATransactionOvertakenByTooMuchConflicts(t *testing.T) {
	f := &fleet{t: t}
	ns := f.openNamespace(1, vfs.NewMem())
	at := snapshotNumber(t, ns)
	var reads store.ReadSet
	reads.Key(key("read"))
	w := &store.Write{Ops: []store.Op{set(key("k"), "v")}, Reads: &reads, Snapshot: at, Buffered: true}
	for i := range store.RecentKeys - 1 {
		commit(t, ns, set(numbered(i), "x"))
	}
	if _, err := ns.Commit(w); err != nil {
		t.Fatalf("overtaken by what is remembered: %v", err)
	}
	commit(t, ns, set(numbered(0), "x"))
	if _, err := ns.Commit(w); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("overtaken by more than is remembered: %v", err)
	}
}

func TestATransactionOfAnEndedWriterConflicts(t *testing.T) {
	f := &fleet{t: t}
	ns := f.openNamespace(1, vfs.NewMem())
	w := &store.Write{Ops: []store.Op{set(key("k"), "v")}, Writer: crdt.WriterID{9}, Buffered: true}
	if _, err := ns.Commit(w); !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	w.Writer = ns.Writer()
	for range 2 { // before and after its first commit
		if _, err := ns.Commit(w); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnExclusiveCommitCannotConflict(t *testing.T) {
	f := &fleet{t: t}
	ns := f.openNamespace(1, vfs.NewMem())
	d := commit(t, ns, set(key("n"), "1"))
	got, err := ns.CommitExclusive(func(s *store.Snapshot) (*store.Write, error) {
		rec, err := s.Get(key("n"))
		if err != nil {
			return nil, err
		}
		w := &store.Write{Ops: []store.Op{set(key("n"), string(rec[0].Value)+"+1")}, Reads: new(store.ReadSet)}
		w.Reads.Key(key("n"))
		return w, nil // Snapshot 0 would conflict
	})
	if err != nil || got.Seq != d.Seq+1 {
		t.Fatal(got, err)
	}
	if v := get(t, ns, key("n")); !slices.Equal(v, []string{"1+1"}) {
		t.Fatal(v)
	}
	failed := errors.New("the closure failed")
	if _, err := ns.CommitExclusive(func(*store.Snapshot) (*store.Write, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if d, err := ns.CommitExclusive(func(*store.Snapshot) (*store.Write, error) { return nil, nil }); err != nil || d.Seq != 0 {
		t.Fatal(d, err)
	}
}

func TestWhatCouldNotBeReadAgainIsRefused(t *testing.T) {
	f := &fleet{t: t}
	ns := f.openNamespace(1, vfs.NewMem())
	for _, tc := range []struct {
		name string
		op   store.Op
		want error
	}{
		{"no key", store.Op{Value: []byte("v")}, crdt.ErrPath},
		{"a long key", store.Op{Key: key("k") + crdt.Key(make([]byte, crdt.MaxKeyBytes))}, crdt.ErrPath},
		{"a key that is no path", store.Op{Key: "k"}, crdt.ErrPath},
		{"a large value", store.Op{Key: key("k"), Value: make([]byte, crdt.MaxValueBytes+1)}, crdt.ErrValue},
	} {
		_, err := ns.Commit(&store.Write{Ops: []store.Op{set(key("good"), "v"), tc.op}, Buffered: true})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if v := ns.Vector(); len(v) != 0 {
		t.Errorf("refused commits left the vector %v", v)
	}
	if d := commit(t, ns, set(key("k"), "v")); d.Seq != 1 {
		t.Errorf("the first commit is %v", d)
	}
}

func TestAReaderNeverSeesHalfATransactionOrDelta(t *testing.T) {
	for _, stageBytes := range []int{1 << 20, 1} {
		f := &fleet{t: t}
		o := f.options(1, vfs.NewMem())
		o.StageBytes, o.Now = stageBytes, nil
		from, to := f.openNamespace(2, vfs.NewMem()), create(t, f.openWith(o))
		const rounds, width = 60, 30
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range rounds {
				var ops []store.Op
				for k := range width {
					ops = append(ops, set(numbered(k), fmt.Sprint(i)))
				}
				commit(t, from, ops...)
				if i%2 == 0 {
					commit(t, to, ops...)
				}
				pull(t, to, from)
			}
		}()
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			seen := wholeState(t, to)
			if len(seen) > 1 || len(seen) == 1 && seen[0].records != width {
				t.Fatalf("a snapshot shows %v", seen)
			}
		}
	}
}

// wholeState counts the records by what they hold.
func wholeState(t *testing.T, ns *store.Namespace) (seen []struct {
	values  string
	records int
}) {
	s := snapshot(t, ns)
	defer s.Close()
	for e, err := range s.Scan(crdt.AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		var values string
		for _, ev := range e.Record {
			values += fmt.Sprintf("%s of %s;", ev.Value, ev.Writer)
		}
		if n := len(seen); n > 0 && seen[n-1].values == values {
			seen[n-1].records++
			continue
		}
		seen = append(seen, struct {
			values  string
			records int
		}{values, 1})
	}
	return seen
}

func TestBufferedCommitsBecomeDurableWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{t: t}
		o := f.options(1, vfs.NewMem())
		o.BufferedSync = 70 * time.Millisecond
		durable := make(chan crdt.Vector, 10)
		o.Durable = func(ns *store.Namespace) { durable <- ns.Durable().Expand() }
		s, err := store.Open("db", o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ns := create(t, s)
		start := time.Now()
		commit(t, ns, set(key("a"), "1"))
		commit(t, ns, set(key("b"), "2"))
		if v := ns.Durable().Expand(); len(v) != 0 {
			t.Fatalf("durable at once: %v", v)
		}
		if v := <-durable; !v.Equal(ns.Vector()) {
			t.Fatalf("durable is %v, visible %v", v, ns.Vector())
		}
		if waited := time.Since(start); waited > o.BufferedSync {
			t.Fatalf("it took %v", waited)
		}
		commit(t, ns, set(key("c"), "3"))
		start = time.Now()
		if err := ns.Sync(t.Context()); err != nil || time.Since(start) > 0 || !ns.Durable().Expand().Equal(ns.Vector()) {
			t.Fatalf("Sync: %v after %v", err, time.Since(start))
		}
	})
}

func TestADurableCommitMakesDurableWhatCameBefore(t *testing.T) {
	f := &fleet{t: t}
	o := f.options(1, vfs.NewMem())
	o.BufferedSync = time.Hour
	ns := create(t, f.openWith(o))
	commit(t, ns, set(key("a"), "1"))
	before := snapshot(t, ns)
	defer before.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := before.WaitDurable(canceled); !errors.Is(err, context.Canceled) {
		t.Fatalf("a buffered commit is durable: %v", err)
	}
	if _, err := ns.Commit(&store.Write{Ops: []store.Op{set(key("b"), "2")}}); err != nil {
		t.Fatal(err)
	}
	if err := before.WaitDurable(canceled); err != nil {
		t.Fatal(err)
	}
	if !ns.Durable().Expand().Equal(ns.Vector()) {
		t.Fatalf("durable is %v, visible %v", ns.Durable().Expand(), ns.Vector())
	}
}

// A commit that comes while the disk is fsynced may be too late for it: only
// what was visible before is durable after it.
func TestWhatComesDuringAnFsyncIsNotDurableByIt(t *testing.T) {
	f := &fleet{t: t}
	var late atomic.Pointer[func()]
	o := f.options(1, crashdisk.Hook(vfs.NewMem(), func(op errorfs.Op) error {
		if fn := late.Load(); fn != nil && strings.HasSuffix(op.Path, ".log") && late.CompareAndSwap(fn, nil) {
			(*fn)()
		}
		return nil
	}))
	o.BufferedSync = time.Hour
	ns := create(t, f.openWith(o))
	commit(t, ns, set(key("a"), "1"))
	before := ns.Vector()
	again := func() { commit(t, ns, set(key("b"), "2")) }
	late.Store(&again)
	if err := ns.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ns.Durable().Expand(); !got.Equal(before) || ns.Vector().Equal(before) {
		t.Errorf("durable is %v of %v, and was visible before the fsync: %v", got, ns.Vector(), before)
	}
}
