package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// bothWays runs a test with deltas that stay in memory and deltas that go
// over the disk.
func bothWays(t *testing.T, test func(t *testing.T, f *fleet, open func(node int) *store.Namespace)) {
	for _, way := range []struct {
		name       string
		stageBytes int
	}{{"in memory", 1 << 20}, {"staged", 1}} {
		t.Run(way.name, func(t *testing.T) {
			f := &fleet{t: t}
			test(t, f, func(node int) *store.Namespace {
				o := f.options(node, vfs.NewMem())
				o.StageBytes = way.stageBytes
				return create(t, f.openWith(o))
			})
		})
	}
}

func TestADeltaToAPeerThatKnowsAllOfUsReadsNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, f *fleet, open func(int) *store.Namespace) {
		hub, device := open(1), open(2)
		for i := range 100 {
			commit(t, device, set(numbered(i), "of the device"), set(key("own", fmt.Sprint(i)), "x"))
		}
		pull(t, hub, device)
		for i := range 50 {
			commit(t, hub, set(numbered(i), "of the hub"))
		}
		before := device.Reads()
		done := pull(t, device, hub)
		if !done.Changed || done.Records != 50 || done.Read != 0 || device.Reads() != before {
			t.Fatalf("%+v, %d records were read", done, device.Reads()-before)
		}
		if v := get(t, device, numbered(7)); !slices.Equal(v, []string{"of the hub"}) {
			t.Fatal(v)
		}
		if v := get(t, device, numbered(70)); !slices.Equal(v, []string{"of the device"}) {
			t.Fatal(v)
		}
	})
}

func TestADeltaReadsOnlyWhatBothSidesWrote(t *testing.T) {
	bothWays(t, func(t *testing.T, f *fleet, open func(int) *store.Namespace) {
		a, b := open(1), open(2)
		for i := range 40 {
			commit(t, a, set(numbered(i), "base"))
		}
		pull(t, b, a)
		for i := range 10 {
			commit(t, b, set(numbered(i), "of b"))
		}
		for i := 5; i < 40; i++ {
			commit(t, a, set(numbered(i), "of a"))
		}
		before := b.Reads()
		done := pull(t, b, a)
		if done.Records != 35 || done.Read != 5 || b.Reads()-before != 5 {
			t.Fatalf("%+v, %d records were read, want 5 of 35", done, b.Reads()-before)
		}
		for i, want := range map[int][]string{2: {"of b"}, 7: {"of a", "of b"}, 20: {"of a"}} {
			if v := get(t, b, numbered(i)); !slices.Equal(v, want) {
				t.Errorf("%d holds %q, want %q", i, v, want)
			}
		}
	})
}

func TestFastForwardEqualsReadingEverything(t *testing.T) {
	f := &fleet{t: t}
	from := f.openNamespace(1, vfs.NewMem())
	fast, slow := f.openNamespace(2, vfs.NewMem()), f.openNamespace(2, vfs.NewMem())
	for round := range 20 {
		var ops []store.Op
		for i := range 5 {
			ops = append(ops, store.Op{Key: numbered((round*7 + i*3) % 20), Value: fmt.Append(nil, round), Removed: i == 4})
		}
		commit(t, from, ops...)
		since := fast.Vector()
		d := deltaOf(t, from, since)
		if done := d.apply(t, fast); done.Read != 0 {
			t.Fatalf("fast: %+v", done)
		}
		in := slow.Begin()
		if err := errors.Join(slow.Learn(d.writers), in.Add(d.entries...)); err != nil {
			t.Fatal(err)
		}
		if done, err := in.FinishReading(d.to); err != nil || done.Read != done.Records {
			t.Fatalf("slow: %+v, %v", done, err)
		}
	}
	if !slices.Equal(state(t, fast), state(t, slow)) {
		t.Fatal("they differ")
	}
}

func TestADeltaOfAnUnknownWriterIsHeldBack(t *testing.T) {
	bothWays(t, func(t *testing.T, f *fleet, open func(int) *store.Namespace) {
		disk := vfs.NewMem()
		first, err := store.Open("db", f.options(1, disk))
		if err != nil {
			t.Fatal(err)
		}
		commit(t, create(t, first), set(key("a"), "1"))
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		from, to := f.openNamespace(1, disk), open(2)
		commit(t, from, set(key("b"), "2"))
		d := deltaOf(t, from, nil)
		if len(d.to) != 1 || len(d.writers) != 2 {
			t.Fatalf("two runs have the normal form %v and %d records", d.to, len(d.writers))
		}
		before := state(t, to)
		for _, some := range [][]*crdt.WriterRecord{nil, d.writers[1:], d.writers[:1]} {
			held := delta{some, d.entries, d.to, nil}
			if _, err := held.tryApply(to); !errors.Is(err, crdt.ErrUnknownWriter) && !errors.Is(err, crdt.ErrWriterRecord) {
				t.Fatalf("with %d of 2 records: %v", len(some), err)
			}
			if !slices.Equal(state(t, to), before) {
				t.Fatal("something of it was applied")
			}
		}
		d.apply(t, to)
		if !slices.Equal(state(t, to), state(t, from)) {
			t.Fatal("they differ")
		}
	})
}

func TestAMalformedDeltaIsRefusedWhole(t *testing.T) {
	bothWays(t, func(t *testing.T, f *fleet, open func(int) *store.Namespace) {
		from, to := open(1), open(2)
		d1 := commit(t, from, set(key("a"), "1"))
		commit(t, from, set(key("b"), "2"), set(key("c"), "3"))
		good := deltaOf(t, from, nil)
		for name, bad := range map[string]delta{
			"an event beyond its vector": {good.writers, good.entries, crdt.Vector{d1.Writer: 1}, nil},
			"a record twice":             {good.writers, append(slices.Clone(good.entries), good.entries[0]), good.to, nil},
			"a record without events":    {good.writers, append(slices.Clone(good.entries), crdt.Entry{Key: key("d")}), good.to, nil},
			"a key that is none":         {good.writers, append(slices.Clone(good.entries), crdt.Entry{Key: "d", Record: good.entries[0].Record}), good.to, nil},
			"a dot twice": {good.writers, append(slices.Clone(good.entries), crdt.Entry{
				Key: key("d"), Record: append(slices.Clone(good.entries[0].Record), good.entries[0].Record...),
			}), good.to, nil},
		} {
			before := state(t, to)
			if _, err := bad.tryApply(to); !errors.Is(err, crdt.ErrDelta) {
				t.Errorf("%s: %v", name, err)
			}
			if !slices.Equal(state(t, to), before) {
				t.Errorf("%s: something of it was applied", name)
			}
		}
		good.apply(t, to)
		again := good.apply(t, to)
		if again.Changed || !slices.Equal(state(t, to), state(t, from)) {
			t.Errorf("good: %+v", again)
		}
	})
}

func TestARecordMayComeInPieces(t *testing.T) {
	bothWays(t, func(t *testing.T, f *fleet, open func(int) *store.Namespace) {
		hub, to := open(1), open(9)
		for n := 2; n < 6; n++ {
			peer := open(n)
			commit(t, peer, set(key("shared"), fmt.Sprint(n)), set(key("own", fmt.Sprint(n)), "x"))
			pull(t, hub, peer)
		}
		d := deltaOf(t, hub, nil)
		if err := to.Learn(d.writers); err != nil {
			t.Fatal(err)
		}
		in := to.Begin()
		for _, e := range d.entries {
			for i := range e.Record {
				if err := in.Add(crdt.Entry{Key: e.Key, Record: e.Record[i : i+1]}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := in.Finish(d.to, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(state(t, to), state(t, hub)) {
			t.Fatal("they differ")
		}
		if _, err := in.Finish(d.to, nil); err == nil {
			t.Fatal("a delta was finished twice")
		}
		if in.Add(d.entries...) == nil {
			t.Fatal("a delta grew after its end")
		}
	})
}

func TestChangesYieldEachRecordOnce(t *testing.T) {
	f := &fleet{t: t}
	a, b := f.openNamespace(1, vfs.NewMem()), f.openNamespace(2, vfs.NewMem())
	for round := range 30 {
		commit(t, a, set(key("hot"), fmt.Sprint(round)), set(numbered(round), "a"))
		commit(t, b, set(key("hot"), fmt.Sprint(round)), set(numbered(round+15), "b"))
	}
	since := a.Vector()
	pull(t, a, b)
	commit(t, a, set(key("new"), "x"))
	for name, from := range map[string]crdt.Vector{"nothing": nil, "a": since, "half of a": halved(since), "b": b.Vector()} {
		var got []crdt.Key
		for _, e := range deltaOf(t, a, from).entries {
			got = append(got, e.Key)
		}
		slices.Sort(got)
		if want := changed(t, a, from); !slices.Equal(got, want) {
			t.Errorf("from %s: %q, want %q", name, got, want)
		}
	}
}

func halved(v crdt.Vector) crdt.Vector {
	half := crdt.Vector{}
	for w, s := range v {
		half[w] = s / 2
	}
	return half
}

// changed finds by looking at everything which records from lacks an event of.
func changed(t *testing.T, ns *store.Namespace, from crdt.Vector) (keys []crdt.Key) {
	s := snapshot(t, ns)
	defer s.Close()
	for e, err := range s.Scan(crdt.AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(e.Record, func(e crdt.Event) bool { return !from.Covers(e.Dot) }) {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

func TestAClockThatIsAheadIsReportedAndHeldOff(t *testing.T) {
	f := &fleet{t: t}
	var reports []store.Report
	ahead, o := f.options(1, vfs.NewMem()), f.options(2, vfs.NewMem())
	ahead.Now = func() time.Time { return f.now().Add(10 * 365 * 24 * time.Hour) }
	o.Report = func(r store.Report) { reports = append(reports, r) }
	from, to := create(t, f.openWith(ahead)), create(t, f.openWith(o))
	commit(t, from, set(key("k"), "of the future"))
	for range 2 {
		pull(t, to, from)
		pull(t, to, from)
	}
	if len(reports) != 1 || !errors.Is(reports[0].Err, store.ErrSkew) || reports[0].Node != ahead.Node || reports[0].Namespace != "things" {
		t.Fatalf("reports: %v", reports)
	}
	commit(t, to, set(key("mine"), "x"))
	s := snapshot(t, to)
	defer s.Close()
	rec, err := s.Get(key("mine"))
	if err != nil {
		t.Fatal(err)
	}
	if got := time.UnixMilli(rec[0].Time.Millis()); got.After(f.now().Add(2 * time.Minute)) {
		t.Fatalf("our clock followed to %v", got)
	}
}

func TestARunWithATwinGoesOnAsAnotherWriter(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewCrashableMem()
	var reports []store.Report
	o := f.options(1, disk)
	o.Report = func(r store.Report) { reports = append(reports, r) }
	here, hub := create(t, f.openWith(o)), f.openNamespace(2, vfs.NewMem())
	d := commit(t, here, set(key("k"), "1"))
	pull(t, hub, here)

	// The twin: somebody who writes on as the same writer.
	twin := deltaOf(t, here, nil)
	twin.entries = []crdt.Entry{{Key: key("t"), Record: crdt.Record{{Dot: crdt.Dot{Writer: d.Writer, Seq: 2}, Time: 1, Value: []byte("of the twin")}}}}
	twin.to = crdt.Vector{d.Writer: 2}
	twin.apply(t, here)

	if len(reports) != 1 || !errors.Is(reports[0].Err, store.ErrTwin) {
		t.Fatalf("reports: %v", reports)
	}
	next := commit(t, here, set(key("k"), "2"))
	if next.Writer == d.Writer || next.Seq != 1 {
		t.Fatalf("it goes on as %v", next)
	}
	rec, err := here.WriterRecord(next.Writer)
	if err != nil || !slices.Equal(rec.Parents, []crdt.Dot{{Writer: d.Writer, Seq: 2}}) {
		t.Fatalf("its record is %+v, %v", rec, err)
	}
}
