package store_test

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// readPin reads a record in the way that costs least.
func readPin(p store.Pin, k crdt.Key) (rec crdt.Record, cached bool, err error) {
	if rec, ok := p.Cached(k); ok {
		return rec, true, nil
	}
	rec, ok, err := p.Get(k)
	if ok || err != nil {
		return rec, false, err
	}
	s, err := p.Snapshot()
	if err != nil {
		return nil, false, err
	}
	rec, err = s.Get(k)
	return rec, false, errors.Join(err, s.Close())
}

// pinned is a pin, and all that it is to show.
type pinned struct {
	store.Pin
	want map[crdt.Key]string
}

// pinners hold pins of a world's stores.
type pinners struct {
	*world
	held [3][]pinned
	hits int
}

// pin takes a pin that costs no snapshot.
func (p *pinners) pin(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "store")
	if len(p.held[n]) == 4 {
		return
	}
	s := snapshot(t, p.ns[n])
	want := foldOf(t, s, crdt.AllKeys)
	s.Close()
	pin, err := p.ns[n].Pin()
	if err != nil {
		t.Fatal(err)
	}
	p.held[n] = append(p.held[n], pinned{pin, want})
}

// look reads some keys through all pins of a store.
func (p *pinners) look(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "store")
	for _, k := range rapid.SliceOfN(rapid.Custom(drawKey), 1, 6).Draw(t, "keys") {
		for _, at := range p.held[n] {
			for range 3 { // into the cache, and from there
				p.lookAt(t, at, k)
			}
		}
	}
}

func (p *pinners) lookAt(t *rapid.T, at pinned, k crdt.Key) {
	rec, cached, err := readPin(at.Pin, k)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	if len(rec) > 0 {
		got = string(crdt.AppendCanonical(nil, rec))
	}
	if got != at.want[k] {
		t.Fatalf("at commit %d, key %q: read %q (cached: %v), want %q", at.Number(), k, got, cached, at.want[k])
	}
	if cached {
		p.hits++
	}
}

// snapshotLater takes the snapshot of a pin, maybe long after the pin.
func (p *pinners) snapshotLater(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "store")
	for _, at := range p.held[n] {
		s, err := at.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if got := foldOf(t, s, crdt.AllKeys); !maps.Equal(got, at.want) {
			t.Fatalf("store %d at commit %d reads\n%q\nwant\n%q", n, at.Number(), got, at.want)
		}
		s.Close()
	}
}

func (p *pinners) letGo(t *rapid.T) {
	if n := rapid.IntRange(0, 2).Draw(t, "store"); len(p.held[n]) > 0 {
		p.held[n][0].Release()
		p.held[n] = p.held[n][1:]
	}
}

func (p *pinners) letAllGo() {
	for n := range p.held {
		for _, at := range p.held[n] {
			at.Release()
		}
		p.held[n] = nil
	}
}

// Whatever is committed, applied, merged and collected, a pin shows its moment,
// from the cache as well.
func TestAnyHistoryLeavesAPinAtItsMoment(t *testing.T) {
	hits := 0
	rapid.Check(t, func(t *rapid.T) {
		p := &pinners{world: newCollectingWorld(t)}
		defer p.close()
		defer func() {
			p.letAllGo()
			for n := range p.rejoins {
				p.abort(n)
			}
		}()
		t.Repeat(p.actions(map[string]func(*rapid.T){
			"pin": p.pin, "pin2": p.pin, "look": p.look, "look2": p.look, "look3": p.look,
			"snapshot later": p.snapshotLater, "let go": p.letGo,
			"commit": p.commit, "commit2": p.commit,
			"reconcile": p.reconcile, "reconcile2": p.reconcile,
			"reopen": func(t *rapid.T) {
				p.letAllGo()
				p.reopen(t)
			},
		}))
		hits += p.hits
	})
	if hits == 0 {
		t.Error("nothing was ever cached")
	}
}

// Readers beside a writer see its transactions whole, and none undone.
func TestPinsSeeWholeTransactionsBesideAWriter(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	write := func(i int) { commit(t, ns, set(numbered(1), fmt.Sprint(i)), set(numbered(2), fmt.Sprint(i))) }
	write(0)
	done := make(chan struct{})
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() {
			for last := 0; ; {
				select {
				case <-done:
					return
				default:
				}
				now, err := readTwice(ns)
				if err != nil || now < last {
					t.Errorf("read %d after %d, %v", now, last, err)
					return
				}
				last = now
			}
		})
	}
	for i := range 2000 {
		write(i + 1)
	}
	close(done)
	running.Wait()
	if n := store.Snapshots(ns); n != 0 {
		t.Errorf("%d snapshots of Pebble's are left", n)
	}
}

// readTwice returns what both keys hold, at one moment.
func readTwice(ns *store.Namespace) (int, error) {
	p, err := ns.Pin()
	if err != nil {
		return 0, err
	}
	defer p.Release()
	var read [4]string
	for i := range read {
		rec, _, err := readPin(p, numbered(1+i%2))
		if err != nil {
			return 0, err
		}
		if read[i] = string(rec[0].Value); read[i] != read[0] {
			return 0, fmt.Errorf("at commit %d read %q", p.Number(), read)
		}
	}
	return strconv.Atoi(read[0])
}

func TestAReadThatACommitOvertookIsOfItsMoment(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	pin := func() store.Pin {
		p, err := ns.Pin()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Release)
		return p
	}
	commit(t, ns, set(numbered(1), "a"))
	old := pin()
	overtaken := false
	rec, ok, err := old.GetOvertaken(numbered(1), func() { commit(t, ns, set(numbered(1), "b")); overtaken = true })
	if ok || err != nil || !overtaken {
		t.Errorf("overtaken (%v), it read %v, %v", overtaken, rec, err)
	}
	now := pin()
	for i := range 5 { // noted, then cached, if only that of now
		for p, want := range map[store.Pin]string{old: "a", now: "b"} {
			rec, cached, err := readPin(p, numbered(1))
			if err != nil || string(rec[0].Value) != want {
				t.Fatalf("look %d at commit %d: read %q (cached: %v), %v; want %q", i, p.Number(), rec[0].Value, cached, err, want)
			}
		}
	}
	if _, cached, _ := readPin(now, numbered(1)); !cached {
		t.Error("what is there now is not cached")
	}
	if ns.FindsOnceVisible(numbered(1)) {
		t.Error("who sees a commit finds a record of before it in the cache")
	}
	if rec, _, err := readPin(pin(), numbered(1)); err != nil || string(rec[0].Value) != "b" {
		t.Errorf("after a commit that failed: %v, %v", rec, err)
	}
}

func TestOnlyAPinThatACommitLeavesBehindCostsASnapshot(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	pin := func() store.Pin {
		p, err := ns.Pin()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	want := func(snapshots, pins int) {
		t.Helper()
		if s, p := store.Snapshots(ns), ns.Pins(); s != snapshots || p != pins {
			t.Errorf("%d snapshots and %d pins, want %d and %d", s, p, snapshots, pins)
		}
	}
	a, b := pin(), pin()
	want(0, 2)
	commit(t, ns, set(numbered(1), "a"))
	want(1, 2)
	c := pin()
	want(1, 3)
	a.Release()
	want(1, 2)
	b.Release()
	want(0, 1)
	s, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want(1, 1)
	c.Release()
	want(1, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want(0, 0)
	commit(t, ns, set(numbered(1), "b"))
	want(0, 0)
}

func TestPinsKeepNobodyFromEndingANamespace(t *testing.T) {
	f := &fleet{t: t}
	for name, c := range map[string]struct {
		end  func(*store.Store) error
		want error
	}{
		"close": {(*store.Store).Close, store.ErrClosed},
		"drop":  {func(s *store.Store) error { return s.Drop("a") }, store.ErrNoNamespace},
	} {
		t.Run(name, func(t *testing.T) {
			st := f.openWith(f.options(0, vfs.NewMem()))
			ns, err := st.Create("a")
			if err != nil {
				t.Fatal(err)
			}
			commit(t, ns, set(numbered(1), "a"))
			old, err := ns.Pin()
			if err != nil {
				t.Fatal(err)
			}
			for range 3 { // into the cache
				if _, _, err := readPin(old, numbered(1)); err != nil {
					t.Fatal(err)
				}
			}
			commit(t, ns, set(numbered(2), "a"))
			now, err := ns.Pin()
			if err = errors.Join(err, c.end(st)); err != nil {
				t.Fatal(err)
			}
			for _, p := range []store.Pin{old, now} {
				if rec, _, err := readPin(p, numbered(1)); !errors.Is(err, c.want) {
					t.Errorf("read %v, %v", rec, err)
				}
				p.Release()
			}
			if _, err := ns.Pin(); !errors.Is(err, c.want) {
				t.Errorf("pinned: %v", err)
			}
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCachedRecordsTakeTheMemoryThatTheyMay(t *testing.T) {
	const limit = 256 << 10
	f := &fleet{t: t}
	o := f.options(0, vfs.NewMem())
	o.RecordCacheBytes = limit
	ns, err := f.openWith(o).Create("a")
	if err != nil {
		t.Fatal(err)
	}
	var ops []store.Op
	for i := range 4000 {
		ops = append(ops, set(numbered(i), "some value of a key"))
	}
	ops = append(ops, set(numbered(4000), string(make([]byte, limit/8))))
	commit(t, ns, ops...)
	p, err := ns.Pin()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	read := func(i int) bool {
		_, cached, err := readPin(p, numbered(i))
		if err != nil {
			t.Fatal(err)
		}
		return cached
	}
	once := store.RecordCacheBytes(ns)
	for i := range 1000 {
		read(i)
	}
	if grown := store.RecordCacheBytes(ns) - once; grown > limit/4 {
		t.Errorf("what was read once takes %d bytes", grown)
	}
	read(0)
	read(0)
	if !read(0) {
		t.Error("what was read three times in a row is not cached")
	}
	missed := 0
	for i := range 16_000 { // each key twice in a row, and one all the time
		read(i / 2 % 4000)
		if !read(0) {
			missed++
		}
		if used := store.RecordCacheBytes(ns); used > limit {
			t.Fatalf("%d bytes are cached, of %d", used, limit)
		}
	}
	if missed > 10 {
		t.Errorf("a key that is read all the time was missed %d times", missed)
	}
	if used := store.RecordCacheBytes(ns); used < limit/2 {
		t.Errorf("only %d bytes are cached, of %d", used, limit)
	}
	for range 3 {
		if read(4000) {
			t.Error("a record of an eighth of the cache was cached")
		}
	}
}
