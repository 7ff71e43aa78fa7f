package store_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/crashdisk"
	"github.com/anabranch-db/anabranch/store"
)

// watchedDisk calls made for each sorted table that is made for ingestion, and
// linked before one is ingested.
type watchedDisk struct {
	vfs.FS
	made, linked func()
}

func (d *watchedDisk) Link(old, name string) error {
	if d.linked != nil {
		d.linked()
	}
	return d.FS.Link(old, name)
}

func (d *watchedDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if d.made != nil && strings.Contains(name, "stage") {
		d.made()
	}
	return d.FS.Create(name, c)
}

// liveHeap returns the bytes that a collection leaves.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// writerOf returns a writer of node n and its record.
func writerOf(n int, w crdt.WriterID) *crdt.WriterRecord {
	k := nodeKey(n)
	rec := &crdt.WriterRecord{Writer: w, Node: crdt.NodeID(k.Public().(ed25519.PublicKey)), Namespace: "things"}
	copy(rec.Signature[:], ed25519.Sign(k, rec.SigningBytes()))
	return rec
}

// One transaction of 64 MiB arrives, in memory that is bounded by the size of
// a memtable, of a table, and of what is staged at a time.
func TestALargeTransactionArrivesInBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it measures memory, and under -race Pebble gives each memtable and cached block a finalizer, which outlives a collection")
	}
	const records, size, most = 1 << 16, 1 << 10, 16 << 20
	f := &fleet{t: t}
	var peak, base uint64
	disk := &watchedDisk{FS: vfs.Default}
	o := f.options(1, disk)
	o.MemTableBytes, o.CacheBytes = 1<<20, 4<<20
	s, err := store.Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ns := create(t, s)
	commit(t, ns, set(numbered(5), "ours"))
	w := writerOf(2, crdt.WriterID{7})
	if err := ns.Learn([]*crdt.WriterRecord{w}); err != nil {
		t.Fatal(err)
	}
	base = liveHeap()
	disk.made = func() { peak = max(peak, liveHeap()) }
	in := ns.Begin()
	for i := range records {
		value := make([]byte, size)
		copy(value, fmt.Sprint(i))
		e := crdt.Entry{Key: numbered(i), Record: crdt.Record{{Dot: crdt.Dot{Writer: w.Writer, Seq: 1}, Time: 1, Value: value}}}
		if err := in.Add(e); err != nil {
			t.Fatal(err)
		}
		if i%4096 == 0 {
			disk.made()
		}
	}
	done, err := in.Finish(crdt.Vector{w.Writer: 1}, nil)
	if err != nil || !done.Staged || done.Records != records || done.Read != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if used := peak - base; peak < base || used > most {
		t.Errorf("%d MiB took %d KiB of memory, want at most %d", records*size>>20, used>>10, most>>10)
	}
	if got := get(t, ns, numbered(5)); len(got) != 2 {
		t.Errorf("what both wrote holds %d values", len(got))
	}
	if n := len(deltaOf(t, ns, crdt.Vector{ns.Writer(): 1}).entries); n != records {
		t.Errorf("the log finds %d records, want %d", n, records)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAStagedDeltaIsWholeAfterAPowerCutAtAnyMoment(t *testing.T) {
	for name, ours := range map[string]crdt.Key{"merged": numbered(3), "as it is": key("none of theirs")} {
		t.Run(name, func(t *testing.T) { cutStaged(t, ours) })
	}
}

// cutStaged cuts the power at each operation of a staged delta, at a store that
// wrote a record itself.
func cutStaged(t *testing.T, ours crdt.Key) {
	f := &fleet{t: t}
	from := f.openNamespace(2, vfs.NewMem())
	for i := range 40 {
		commit(t, from, set(numbered(i), "of the peer"), set(key("hot"), fmt.Sprint(i)))
	}
	d := deltaOf(t, from, nil)
	disk, shares := crashdisk.New(vfs.NewCrashableMem(), crashdisk.Journaled), crashdisk.Journaled.Leaves()
	o := f.options(1, disk)
	o.StageBytes = 1
	s := f.openWith(o)
	ns := create(t, s)
	if _, err := ns.Commit(&store.Write{Ops: []store.Op{set(ours, "ours")}}); err != nil {
		t.Fatal(err)
	}
	before := state(t, ns)
	var mu sync.Mutex
	var cuts []*vfs.MemFS
	disk.Follow(func(int64, errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		cuts = append(cuts, disk.Cut(shares[len(cuts)%len(shares)], uint64(len(cuts))))
		return nil
	})
	d.apply(t, ns)
	if err := ns.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	disk.Follow(nil)
	after := state(t, ns)
	seen := map[bool]int{}
	for i, left := range append(cuts, disk.Cut(0, 0)) {
		again := f.options(1, left)
		s, err := store.Open("db", again)
		if err != nil {
			t.Fatalf("cut %d of %d: %v", i, len(cuts), err)
		}
		got := state(t, create(t, s))
		if !slices.Equal(got, before) && !slices.Equal(got, after) {
			t.Fatalf("cut %d of %d left %d records", i, len(cuts), len(got))
		}
		seen[slices.Equal(got, after)]++
		if err := errors.Join(s.Check(t.Context()), s.Close()); err != nil {
			t.Fatalf("cut %d of %d: %v", i, len(cuts), err)
		}
	}
	if seen[false] < 2 || seen[true] < 2 {
		t.Fatalf("the cuts show nothing: %v", seen)
	}
}

func TestWhatWasStagedInVainIsRemoved(t *testing.T) {
	f := &fleet{t: t}
	from := f.openNamespace(2, vfs.NewMem())
	for i := range 40 {
		commit(t, from, set(numbered(i), "x"))
	}
	d := deltaOf(t, from, nil)
	disk := vfs.NewMem()
	o := f.options(1, disk)
	o.StageBytes = 1
	s := f.openWith(o)
	ns := create(t, s)
	half := func() *store.Incoming {
		in := ns.Begin()
		for _, e := range d.entries[:20] {
			if err := in.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		if s.Staged(t) == 0 {
			t.Fatal("nothing is staged")
		}
		return in
	}
	half().Abort()
	if _, err := half().Finish(d.to, nil); !errors.Is(err, crdt.ErrUnknownWriter) {
		t.Fatal(err)
	}
	if n := s.Staged(t); n != 0 {
		t.Fatalf("%d keys are left", n)
	}
	half() // and the store is closed
	s, ns = f.reopen(1, disk, s)
	if n := s.Staged(t); n != 0 {
		t.Fatalf("%d keys are left after reopening", n)
	}
	d.apply(t, ns)
	if n := s.Staged(t); n != 0 {
		t.Fatalf("%d keys are left after an apply", n)
	}
	if ls, err := disk.List("db/stage"); err == nil && len(ls) > 0 {
		t.Fatalf("tables are left: %q", ls)
	}
}

// Own commits overtake a staged delta in each of its phases; none is lost,
// and only the tables that they touch are written again.
func TestOwnCommitsOvertakeAStagedDelta(t *testing.T) {
	f := &fleet{t: t}
	from := f.openNamespace(2, vfs.NewMem())
	big := strings.Repeat("v", 100<<10)
	for i := range 100 { // 10 MiB: three tables
		commit(t, from, set(numbered(i), big))
	}
	d := deltaOf(t, from, nil)
	disk := &watchedDisk{FS: vfs.NewMem()}
	o := f.options(1, disk)
	o.StageBytes = 1 << 20
	ns := create(t, f.openWith(o))
	if err := ns.Learn(d.writers); err != nil {
		t.Fatal(err)
	}
	tables, written := 0, 0
	disk.made = func() {
		tables++
		if written < 6 { // while tables are written for the first time, or again
			commit(t, ns, set(numbered(written*8), "ours"), set(key("not in it"), "ours"))
			written++
		}
	}
	in := ns.Begin()
	if err := in.Add(d.entries...); err != nil {
		t.Fatal(err)
	}
	done, err := in.FinishOvertaken(d.to, d.floor, func() { commit(t, ns, set(numbered(99), "ours, last")) })
	if err != nil || !done.Staged {
		t.Fatal(done, err)
	}
	for i := range 100 {
		want := 1
		if i%8 == 0 && i/8 < written || i == 99 {
			want = 2
		}
		if v := get(t, ns, numbered(i)); len(v) != want {
			t.Errorf("%d holds %d values, want %d", i, len(v), want)
		}
	}
	if tables > 20 {
		t.Errorf("%d tables were written", tables)
	}
	pull(t, from, ns)
	if !slices.Equal(state(t, from), state(t, ns)) {
		t.Error("they differ")
	}
}

func TestReadersGoOnWhileTablesAreIngested(t *testing.T) {
	f := &fleet{t: t}
	from := f.openNamespace(2, vfs.NewMem())
	commit(t, from, set(key("a"), "1"), set(key("b"), "2"))
	d := deltaOf(t, from, nil)
	disk := &watchedDisk{FS: vfs.NewMem()}
	o := f.options(1, disk)
	o.StageBytes = 1
	ns := create(t, f.openWith(o))
	commit(t, ns, set(key("a"), "ours"))
	before := ns.Vector()
	looked := 0
	disk.linked = func() {
		looked++
		if v := get(t, ns, key("a")); !slices.Equal(v, []string{"ours"}) || !ns.Vector().Equal(before) {
			t.Errorf("a reader sees %q at %v", v, ns.Vector())
		}
	}
	old := snapshot(t, ns)
	defer old.Close()
	d.apply(t, ns)
	if v := get(t, ns, key("a")); len(v) != 2 || looked == 0 {
		t.Errorf("after %d looks there is %q", looked, v)
	}
	if rec, err := old.Get(key("a")); err != nil || len(rec) != 1 || !old.Vector().Equal(before) {
		t.Errorf("a snapshot from before shows %v (%v)", rec, err)
	}
}
