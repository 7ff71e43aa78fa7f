package store_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// outcome is what a commit came to.
type outcome struct {
	dot crdt.Dot
	err error
}

// queueUp commits ws while another commit is under way, each behind the one
// before it; that one ends with held.
func queueUp(t *testing.T, ns *store.Namespace, held func(), ws ...*store.Write) []outcome {
	t.Helper()
	out := make([]outcome, len(ws))
	var all sync.WaitGroup
	_, err := ns.CommitExclusive(func(*store.Snapshot) (*store.Write, error) {
		for i, w := range ws {
			all.Go(func() { out[i].dot, out[i].err = ns.Commit(w) })
			for ns.Queued() <= i {
				runtime.Gosched()
			}
		}
		held()
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all.Wait()
	return out
}

func TestTransactionsThatWaitedAreEachWhole(t *testing.T) {
	f := &fleet{t: t}
	mem := vfs.NewCrashableMem()
	ns, other := f.openNamespace(1, mem), f.openNamespace(2, vfs.NewMem())
	first := commit(t, ns, set(key("before"), "x"))
	var ws []*store.Write
	for i := range 300 { // more than one group
		ws = append(ws, &store.Write{
			Ops:      []store.Op{set(numbered(i), fmt.Sprint(i)), set(key("last"), fmt.Sprint(i))},
			Buffered: i%50 == 0,
		})
	}
	commits := ns.Commits()
	out := queueUp(t, ns, func() {}, ws...)
	for i, o := range out {
		if o.err != nil || o.dot.Writer != first.Writer || o.dot.Seq != first.Seq+1+uint64(i) {
			t.Fatalf("the transaction %d is %v, %v", i, o.dot, o.err)
		}
	}
	if n := ns.Commits() - commits; n != 300 {
		t.Errorf("%d commits", n)
	}
	survived := f.openNamespace(3, vfs.NewMem())
	pull(t, other, ns)
	crashed := f.openNamespace(1, mem.CrashClone(vfs.CrashCloneCfg{}))
	pull(t, survived, crashed)
	for _, at := range []*store.Namespace{ns, other, crashed, survived} {
		for i := range 300 {
			if got := get(t, at, numbered(i)); !slices.Equal(got, []string{fmt.Sprint(i)}) {
				t.Fatalf("record %d is %q", i, got)
			}
		}
		if got := get(t, at, key("last")); !slices.Equal(got, []string{"299"}) {
			t.Errorf("the last to write is %q", got)
		}
	}
}

// What is wrong with one that waited is its own matter.
func TestTransactionsThatWaitedFailEachForItself(t *testing.T) {
	f := &fleet{t: t}
	ns := f.openNamespace(1, vfs.NewMem())
	commit(t, ns, set(key("read"), "x"))
	reads := func(k crdt.Key) *store.ReadSet {
		r := new(store.ReadSet)
		r.Key(k)
		return r
	}
	at := snapshotNumber(t, ns)
	out := queueUp(t, ns, func() {},
		&store.Write{Ops: []store.Op{set(key("a"), "1")}},
		&store.Write{Ops: []store.Op{set("no path", "1")}},
		&store.Write{Ops: []store.Op{set(key("b"), "1")}, Writer: crdt.WriterID{9}},
		&store.Write{Ops: []store.Op{set(key("c"), "1")}, Reads: reads(key("a")), Snapshot: at},
		&store.Write{Ops: []store.Op{set(key("d"), "1")}, Reads: reads(key("read")), Snapshot: at},
		&store.Write{Ops: []store.Op{set(key("read"), "2")}},
		&store.Write{Reads: reads(key("read")), Snapshot: at},
		&store.Write{},
		&store.Write{Ops: []store.Op{set(key("e"), "1")}},
	)
	for i, want := range []error{nil, crdt.ErrPath, store.ErrConflict, store.ErrConflict, nil, nil, store.ErrConflict, nil, nil} {
		if !errors.Is(out[i].err, want) {
			t.Errorf("the transaction %d: %v, want %v", i, out[i].err, want)
		}
	}
	for name, there := range map[string]int{"a": 1, "b": 0, "c": 0, "d": 1, "read": 1, "e": 1} {
		if got := get(t, ns, key(name)); len(got) != there {
			t.Errorf("%s is %q", name, got)
		}
	}
	if dot := ns.Visible().Seq(out[8].dot.Writer); dot != out[8].dot.Seq || dot != 5 {
		t.Errorf("the last of 5 is %d, and the namespace's %d", out[8].dot.Seq, dot)
	}
}

func TestTransactionsThatWaitedFindTheDiskFull(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	ns := create(t, s)
	w := func(i int) *store.Write { return &store.Write{Ops: []store.Op{set(numbered(i), "x")}} }
	for i, o := range queueUp(t, ns, func() { s.SetFull(true) }, w(1), w(2), w(3)) {
		if !errors.Is(o.err, store.ErrDiskFull) {
			t.Errorf("the transaction %d: %v", i, o.err)
		}
	}
	s.SetFull(false)
	for i, o := range queueUp(t, ns, func() {}, w(1), w(2), w(3)) {
		if o.err != nil || o.dot.Seq != uint64(i+1) {
			t.Errorf("the transaction %d: %v, %v", i, o.dot, o.err)
		}
	}
}

// A large transaction waits for no other, and none for it but in turn.
func TestTransactionsThatWaitedAreNoGreatBatch(t *testing.T) {
	f := &fleet{t: t}
	ns := f.openNamespace(1, vfs.NewMem())
	large := string(make([]byte, 512<<10))
	var ws []*store.Write
	for i := range 9 {
		value := "small"
		if i%3 == 1 {
			value = large
		}
		ws = append(ws, &store.Write{Ops: []store.Op{set(numbered(i), value)}, Buffered: true})
	}
	for i, o := range queueUp(t, ns, func() {}, ws...) {
		if got := get(t, ns, numbered(i)); o.err != nil || o.dot.Seq != uint64(i+1) || len(got) != 1 {
			t.Errorf("the transaction %d: %v, %v", i, o.dot, o.err)
		}
	}
}
