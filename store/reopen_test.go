package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// reopen closes a store and opens it again.
func (f *fleet) reopen(n int, fs vfs.FS, s *store.Store) (*store.Store, *store.Namespace) {
	f.t.Helper()
	if err := s.Close(); err != nil {
		f.t.Fatal(err)
	}
	s = f.open(n, fs)
	return s, create(f.t, s)
}

func TestTheOwnSequenceIsRecoveredFromTheLog(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	ns := create(t, s)
	for i := range 7 {
		commit(t, ns, set(numbered(i), "x"))
	}
	if n := ns.Entries(t); n != 0 {
		t.Fatalf("%d entries of the vector are on disk, the log's tail should do", n)
	}
	want := state(t, ns)
	_, ns = f.reopen(1, disk, s)
	if got := state(t, ns); !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	if !ns.Durable().Expand().Equal(ns.Vector()) {
		t.Fatal("what was found is not durable")
	}
}

func TestEachRunIsANewWriterWithTheLastOneAsParent(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	ns := create(t, s)
	var last crdt.Dot
	for run := range 4 {
		commit(t, ns, set(numbered(run), "x"))
		d := commit(t, ns, set(numbered(run), "y"))
		rec, err := ns.WriterRecord(d.Writer)
		if err != nil {
			t.Fatal(err)
		}
		if d.Writer == last.Writer || d.Seq != 2 || d.Writer != ns.Writer() {
			t.Fatalf("run %d wrote %v after %v", run, d, last)
		}
		var parents []crdt.Dot
		if run > 0 {
			parents = []crdt.Dot{last}
		}
		if rec.Verify() != nil || rec.Namespace != "things" || rec.Node != f.options(1, nil).Node || !slices.Equal(rec.Parents, parents) {
			t.Fatalf("run %d: its record is %+v, want the parents %v", run, rec, parents)
		}
		if v := ns.Visible().Normal(); len(v) != 1 || v[d.Writer] != 2 {
			t.Fatalf("run %d: the normal form is %v", run, v)
		}
		last = d
		if run == 2 { // a run that writes nothing leaves nothing
			s, _ = f.reopen(1, disk, s)
		}
		s, ns = f.reopen(1, disk, s)
	}
	if v := ns.Vector(); len(v) != 4 {
		t.Fatalf("the vector is %v", v)
	}
}

func TestCopiesOfADeviceAreBranches(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	d := commit(t, create(t, s), set(key("base"), "x"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	image := vfs.NewMem()
	if _, err := vfs.Clone(disk, image, "db", "db"); err != nil {
		t.Fatal(err)
	}
	here, there := f.openNamespace(1, disk), f.openNamespace(1, image)
	commit(t, here, set(key("k"), "here"))
	commit(t, there, set(key("k"), "there"))
	pull(t, here, there)
	pull(t, there, here)
	for _, ns := range []*store.Namespace{here, there} {
		if v := get(t, ns, key("k")); !slices.Equal(v, []string{"here", "there"}) {
			t.Fatal(v)
		}
		if v := ns.Visible().Normal(); len(v) != 2 || v[d.Writer] != 0 {
			t.Fatalf("two branches have the normal form %v", v)
		}
	}
}

// A run that goes on beside a copy of its device is a branch of its own, which
// the copy's next run does not imply: its entry stays, and is read again.
func TestARunThatGoesOnBesideItsCopyKeepsItsEntry(t *testing.T) {
	f := &fleet{t: t}
	disk, hubDisk := vfs.NewCrashableMem(), vfs.NewMem()
	device := f.openNamespace(1, disk)
	d := commit(t, device, set(key("base"), "x"))
	if err := device.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	image := disk.CrashClone(vfs.CrashCloneCfg{})
	commit(t, device, set(key("k"), "goes on"))
	s := f.open(2, hubDisk)
	hub := create(t, s)
	pull(t, hub, device)
	copied := f.openNamespace(1, image)
	commit(t, copied, set(key("k"), "of the copy"))
	pull(t, hub, copied)
	want := hub.Vector()
	if want[d.Writer] != 2 || len(want) != 2 {
		t.Fatalf("the hub is at %v", want)
	}
	_, hub = f.reopen(2, hubDisk, s)
	if got := hub.Vector(); !got.Equal(want) {
		t.Errorf("opened again it is at %v, want %v", got, want)
	}
}

func TestOwnTimestampsGoOnWhereTheyWere(t *testing.T) {
	f := &fleet{t: t, clock: 30_000}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	ns := create(t, s)
	commit(t, ns, set(key("k"), "1"))
	before := timeOf(t, ns, key("k"))
	f.clock = 0 // half a minute back, within the skew that is allowed
	_, ns = f.reopen(1, disk, s)
	commit(t, ns, set(key("k"), "2"))
	if after := timeOf(t, ns, key("k")); after <= before {
		t.Fatalf("%d is not after %d", after, before)
	}
}

func timeOf(t *testing.T, ns *store.Namespace, k crdt.Key) crdt.Timestamp {
	s := snapshot(t, ns)
	defer s.Close()
	rec, err := s.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	return rec[0].Time
}

func TestNamespacesAreMadeAndDropped(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	for _, bad := range []string{"", "a b", "a/b", "é", string(make([]byte, 129))} {
		if _, err := s.Create(bad); !errors.Is(err, store.ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := s.Namespace("b"); !errors.Is(err, store.ErrNoNamespace) {
		t.Error(err)
	}
	numbers := map[uint32]bool{}
	for _, name := range []string{"b", "a", "c"} {
		ns, err := s.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		numbers[ns.Incarnation()] = true
		commit(t, ns, set(key("k"), "in "+name))
	}
	again, err := s.Create("b")
	if got, err2 := s.Namespace("b"); err != nil || err2 != nil || got != again {
		t.Fatal(err, err2)
	}
	old := snapshot(t, again)
	if err := s.Drop("b"); err != nil {
		t.Fatal(err)
	}
	if rec, err := old.Get(key("k")); err != nil || len(rec) != 1 {
		t.Errorf("a snapshot from before shows %v, %v", rec, err)
	}
	old.Close()
	if _, err := again.Commit(&store.Write{Ops: []store.Op{set(key("k"), "v")}}); !errors.Is(err, store.ErrNoNamespace) {
		t.Error(err)
	}
	if _, err := again.Snapshot(); !errors.Is(err, store.ErrNoNamespace) {
		t.Error(err)
	}
	if _, err := again.Begin().Finish(nil, nil); !errors.Is(err, store.ErrNoNamespace) {
		t.Error(err)
	}
	if _, err := again.WriterRecords([]crdt.WriterID{again.Writer()}); !errors.Is(err, store.ErrNoNamespace) {
		t.Error(err)
	}
	if err := s.Health(); err != nil {
		t.Errorf("to ask a namespace that was dropped is damage: %v", err)
	}
	if err := s.Drop("b"); !errors.Is(err, store.ErrNoNamespace) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = f.open(1, disk)
	if names := s.Namespaces(); !slices.Equal(names, []string{"a", "c"}) {
		t.Fatal(names)
	}
	made, err := s.Create("b")
	if err != nil || numbers[made.Incarnation()] || len(get(t, made, key("k"))) != 0 || len(made.Vector()) != 0 {
		t.Fatalf("made again it is %d with %v (%v)", made.Incarnation(), made.Vector(), err)
	}
}

func TestLocalValuesAreKept(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	for k, v := range map[string]string{"peer/1": "x", "peer/2": "", "peer0": "z", "cursor": "c"} {
		if err := s.SetLocal(k, []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetLocal("cursor", nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetLocal("", nil), s.SetLocal("k", make([]byte, 2<<20))); !errors.Is(err, store.ErrLocal) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.SetLocal("k", nil); !errors.Is(err, store.ErrClosed) {
		t.Fatal(err)
	}
	s = f.open(1, disk)
	var got []string
	for e, err := range s.LocalScan("peer/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s=%s", e.Key, e.Value))
	}
	if !slices.Equal(got, []string{"peer/1=x", "peer/2="}) {
		t.Fatal(got)
	}
	if v, err := s.Local("peer0"); string(v) != "z" || err != nil {
		t.Fatal(v, err)
	}
	if v, err := s.Local("cursor"); v != nil || err != nil {
		t.Fatal(v, err)
	}
}

func TestAStoreWithoutAKeyTakesDeltasAndNoCommits(t *testing.T) {
	f := &fleet{t: t}
	from := f.openNamespace(1, vfs.NewMem())
	commit(t, from, set(key("k"), "v"))
	s, err := store.Open("db", store.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ns := create(t, s)
	pull(t, ns, from)
	if _, err := ns.Commit(&store.Write{Ops: []store.Op{set(key("k"), "v")}}); err == nil {
		t.Fatal("it committed as nobody")
	}
	if v := get(t, ns, key("k")); !slices.Equal(v, []string{"v"}) {
		t.Fatal(v)
	}
}
