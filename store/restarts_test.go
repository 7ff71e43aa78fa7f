package store_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// runWriter is the writer of the i-th run of a node.
func runWriter(i int) (w crdt.WriterID) {
	binary.BigEndian.PutUint64(w[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint32(w[12:], uint32(i))
	return w
}

// runs returns the records of n runs of a node, each after the other.
func runs(node, n int) []*crdt.WriterRecord {
	k := nodeKey(node)
	recs := make([]*crdt.WriterRecord, n)
	for i := range recs {
		rec := &crdt.WriterRecord{
			Writer: runWriter(i + 1), Node: crdt.NodeID(k.Public().(ed25519.PublicKey)), Namespace: "things",
			Started: crdt.TimestampOf(1_700_000_000_000 + int64(i)),
		}
		if i > 0 {
			rec.Parents = []crdt.Dot{{Writer: runWriter(i), Seq: 1}}
		}
		copy(rec.Signature[:], ed25519.Sign(k, rec.SigningBytes()))
		recs[i] = rec
	}
	return recs
}

// restarted fills a store of node 1 with what n runs of it have left, the last
// of which found the others there, and closes it.
func restarted(t testing.TB, o store.Options, dir string, n int) {
	s, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ns := create(t, s)
	delta{writers: runs(1, n), to: crdt.Vector{runWriter(n): 1}}.apply(t, ns)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = store.Open(dir, o); err != nil {
		t.Fatal(err)
	}
	create(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRestartsLeaveOneEntry: however often a node restarts, its vector is one
// entry, on its own disk and on that of a node that takes what it wrote run by
// run; the last run's is in its log.
func TestRestartsLeaveOneEntry(t *testing.T) {
	const times = 40
	f := &fleet{t: t}
	disk, peer := vfs.NewMem(), f.openNamespace(2, vfs.NewMem())
	for run := range times {
		s := f.open(1, disk)
		ns := create(t, s)
		commit(t, ns, set(numbered(run), "x"))
		d := commit(t, ns, set(numbered(run), "y"))
		pull(t, peer, ns)
		for what, n := range map[string]*store.Namespace{"the node": ns, "its peer": peer} {
			if v := n.Visible(); v.Writers() != run+1 || !v.Normal().Equal(crdt.Vector{d.Writer: 2}) {
				t.Fatalf("run %d: %s has %d writers, and the vector %v", run, what, v.Writers(), v.Normal())
			}
		}
		if own, theirs := ns.Entries(t), peer.Entries(t); own != 0 || theirs != 1 {
			t.Fatalf("run %d: %d entries on disk, %d on the peer's", run, own, theirs)
		}
		checkStore(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBranchesLeaveOneEntryEach: a directory is copied, and each copy restarts
// and writes; a node that takes from all of them has an entry for each, until a
// run has seen all.
func TestBranchesLeaveOneEntryEach(t *testing.T) {
	const copies = 3
	f := &fleet{t: t}
	disk, hub := vfs.NewCrashableMem(), f.openNamespace(2, vfs.NewMem())
	ns := f.openNamespace(1, disk)
	if _, err := ns.Commit(&store.Write{Ops: []store.Op{set(numbered(0), "before")}}); err != nil {
		t.Fatal(err)
	}
	want := crdt.Vector{}
	for i := range copies {
		image := disk.CrashClone(vfs.CrashCloneCfg{})
		for run := range 3 {
			s := f.open(1, image)
			c := create(t, s)
			d := commit(t, c, set(numbered(10*i+run+1), "of a copy"))
			pull(t, hub, c)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if run == 2 {
				want[d.Writer] = 1
			}
		}
	}
	d := commit(t, ns, set(numbered(0), "after"))
	pull(t, hub, ns)
	want[d.Writer] = 2
	if got := hub.Visible().Normal(); !got.Equal(want) || hub.Entries(t) != copies+1 {
		t.Fatalf("%d entries on disk, of %v, want %v", hub.Entries(t), got, want)
	}
	pull(t, ns, hub)
	if got := ns.Visible(); !got.Normal().Equal(want) || got.Writers() != 1+3*copies {
		t.Fatalf("the first device has %v of %d writers, want %v", got.Normal(), got.Writers(), want)
	}
}

// TestEntriesThatOthersImplyAreExamined: tables leave them on disk, and who
// opens the store for reading alone leaves them there too.
func TestEntriesThatOthersImplyAreExamined(t *testing.T) {
	f := &fleet{t: t}
	o := f.options(1, vfs.NewMem())
	o.StageBytes = 1
	s := f.openWith(o)
	ns := create(t, s)
	disk := vfs.NewMem()
	for run := range 3 {
		from := f.open(2, disk)
		commit(t, create(t, from), set(numbered(run), "x"))
		pull(t, ns, create(t, from))
		if err := from.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := ns.Entries(t)
	if want < 2 {
		t.Fatalf("%d entries are on disk", want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := store.Examine("db", o, func(s *store.Store) error {
			ns, err := s.Namespace("things")
			if err != nil {
				return err
			}
			if got := ns.Entries(t); got != want {
				t.Errorf("%d entries are on disk, of %d", got, want)
			}
			if _, err := ns.Commit(&store.Write{Ops: []store.Op{set(numbered(9), "x")}}); err == nil {
				t.Error("it can be written")
			}
			return s.Check(context.Background())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTenThousandRunsOpenAsOne: no more is read of the vector, which covers
// what each of the runs wrote.
func TestTenThousandRunsOpenAsOne(t *testing.T) {
	const n = 10_000
	if testing.Short() {
		t.Skip("-short: 10,000 signatures are made and checked")
	}
	f := &fleet{t: t}
	o := f.options(1, vfs.NewMem())
	restarted(t, o, "db", n)
	ns := create(t, f.openWith(o))
	past := ns.Visible()
	if past.Writers() != n || past.Transactions() != n || !past.Covers(crdt.Dot{Writer: runWriter(n / 2), Seq: 1}) {
		t.Fatalf("%d writers, %d transactions", past.Writers(), past.Transactions())
	}
	if v := past.Normal(); len(v) != 1 || v[runWriter(n)] != 1 || ns.Entries(t) != 1 {
		t.Fatalf("%d entries on disk, the vector is %v", ns.Entries(t), v)
	}
	d := commit(t, ns, set(numbered(1), "x"))
	rec, err := ns.WriterRecord(d.Writer)
	if err != nil || len(rec.Parents) != 1 || rec.Parents[0] != (crdt.Dot{Writer: runWriter(n), Seq: 1}) {
		t.Fatalf("the next run's record is %+v, %v", rec, err)
	}
	if ns.Entries(t) != 0 {
		t.Errorf("%d entries are on disk, which the next run implies", ns.Entries(t))
	}
}

// TestCheckComparesTheIndexOfWritersWithTheirRecords: the record of a run that
// is in the index becomes another one, which its node signed too.
func TestCheckComparesTheIndexOfWritersWithTheirRecords(t *testing.T) {
	const n, run = 300, 7
	f := &fleet{t: t}
	o := f.options(1, vfs.NewMem())
	restarted(t, o, "db", n)
	intact := f.openWith(o)
	checkStore(t, intact)
	if err := intact.Close(); err != nil {
		t.Fatal(err)
	}
	db, closeDB, err := store.OpenRaw("db", o)
	if err != nil {
		t.Fatal(err)
	}
	rec := runs(1, n)[run]
	rec.Parents[0].Seq++
	copy(rec.Signature[:], ed25519.Sign(nodeKey(1), rec.SigningBytes()))
	key := []byte{5, 0, 0, 0, 1, 1, 0, 0, 0, run} // keys.go
	if err := errors.Join(db.Set(key, crdt.AppendWriterRecord([]byte{1}, rec), nil), closeDB()); err != nil {
		t.Fatal(err)
	}
	s := f.openWith(o)
	err = s.Check(t.Context())
	if want := "the index of writers says something else"; !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want an error that says %q", err, want)
	}
}

// BenchmarkRestarts is what a namespace costs whose node has run often: to
// open it, what it holds in memory, a write, and a small delta of another node.
func BenchmarkRestarts(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := &fleet{t: b}
			o := f.options(1, nil)
			dir := b.TempDir()
			restarted(b, o, dir, n)
			open := func() (*store.Store, *store.Namespace) {
				s, err := store.Open(dir, o)
				if err != nil {
					b.Fatal(err)
				}
				return s, create(b, s)
			}
			var opened []time.Duration
			var heap uint64
			for b.Loop() {
				before := liveHeap()
				began := time.Now()
				s, _ := open()
				opened = append(opened, time.Since(began))
				heap += liveHeap() - before
				s.Close()
			}
			s, ns := open()
			defer s.Close()
			peer := f.openNamespace(2, vfs.NewMem())
			pull(b, peer, ns)
			const ops = 500
			began := time.Now()
			for i := range ops {
				commit(b, ns, set(numbered(i), "ours"))
			}
			written := time.Since(began)
			var deltas []delta
			for i := range ops {
				from := peer.Vector()
				commit(b, peer, set(numbered(i), "theirs"))
				deltas = append(deltas, deltaOf(b, peer, from))
			}
			began = time.Now()
			for _, d := range deltas {
				d.apply(b, ns)
			}
			applied := time.Since(began)
			b.ReportMetric(0, "ns/op")
			slices.Sort(opened) // the median: a busy machine makes the mean longer
			b.ReportMetric(float64(opened[len(opened)/2].Microseconds()), "open-us")
			b.ReportMetric(float64(heap>>10)/float64(b.N), "open-KiB")
			b.ReportMetric(float64(written.Nanoseconds())/ops, "write-ns")
			b.ReportMetric(float64(applied.Nanoseconds())/ops, "apply-ns")
		})
	}
}
