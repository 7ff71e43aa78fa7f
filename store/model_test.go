package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// model is what a namespace should hold: records and an expanded vector, with
// deltas merged by joining whole states.
type model struct {
	records map[crdt.Key]crdt.Record
	vector  crdt.Vector
}

func newModel() *model { return &model{map[crdt.Key]crdt.Record{}, crdt.Vector{}} }

func (m *model) clone() *model { return &model{maps.Clone(m.records), m.vector.Clone()} }

// commit replaces what is there by one event each.
func (m *model) commit(d crdt.Dot, time crdt.Timestamp, ops []store.Op) {
	for _, op := range ops {
		m.records[op.Key] = crdt.Record{{Dot: d, Time: time, Removed: op.Removed, Value: op.Value, Expires: op.Expires}}
	}
	m.vector.Advance(d.Writer, d.Seq)
}

// merge joins the whole of another state.
func (m *model) merge(o *model) {
	all := maps.Clone(m.records)
	maps.Copy(all, o.records)
	for k := range all {
		m.records[k] = crdt.Join(m.records[k], m.vector, o.records[k], o.vector)
	}
	m.vector.Join(o.vector)
}

// check compares a namespace with what it should hold.
func (m *model) check(t *rapid.T, name string, ns *store.Namespace) {
	s, err := ns.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.Vector().Equal(m.vector) {
		t.Fatalf("%s: vector %v, want %v", name, s.Vector(), m.vector)
	}
	found := 0
	for e, err := range s.Scan(crdt.AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		want := m.records[e.Key]
		if string(crdt.AppendCanonical(nil, e.Record)) != string(crdt.AppendCanonical(nil, want)) {
			t.Fatalf("%s: %q holds %v, want %v", name, e.Key, e.Record, want)
		}
		found++
	}
	if found != len(m.records) {
		t.Fatalf("%s: %d records, want %d", name, found, len(m.records))
	}
}

// world is three stores beside their models.
type world struct {
	fleet
	disks  [3]vfs.FS
	stores [3]*store.Store
	ns     [3]*store.Namespace
	models [3]*model
	past   [3][]crdt.Vector // vectors that a store covers

	rejoins [3]*rejoin // reconciliations under way
	expired int64      // what expires by then may have been collected somewhere
}

func (w *world) options(n int) store.Options {
	o := w.fleet.options(n, w.disks[n])
	o.StageBytes = []int{1 << 20, 300, 1}[n] // memory, some of both, disk
	return o
}

func (w *world) open(n int) {
	s, err := store.Open("db", w.options(n))
	if err != nil {
		w.t.Fatal(err)
	}
	w.stores[n], w.ns[n] = s, create(w.t, s)
}

func (w *world) close() {
	for _, s := range w.stores {
		if err := s.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func drawKey(t *rapid.T) crdt.Key { return numbered(rapid.IntRange(0, 7).Draw(t, "key")) }

func (w *world) commit(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "store")
	w.commitTo(t, n)
}

func (w *world) commitTo(t *rapid.T, n int) {
	keys := rapid.SliceOfNDistinct(rapid.Custom(drawKey), 1, 4, rapid.ID).Draw(t, "keys")
	var ops []store.Op
	for _, k := range keys {
		op := store.Op{Key: k, Removed: rapid.Bool().Draw(t, "removed")}
		if !op.Removed {
			op.Value = fmt.Appendf(nil, "%d", w.clock)
			op.Expires = drawExpiry(t)
		}
		ops = append(ops, op)
	}
	d := commit(t, w.ns[n], ops...)
	w.models[n].commit(d, w.timeOf(t, n, keys[0]), ops)
}

// timeOf reads the timestamp of the commit that just wrote k.
func (w *world) timeOf(t *rapid.T, n int, k crdt.Key) crdt.Timestamp {
	s, err := w.ns[n].Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rec, err := s.Get(k)
	if err != nil || len(rec) != 1 {
		t.Fatalf("a blind put left %v (%v)", rec, err)
	}
	return rec[0].Time
}

// pull sends a delta from one to another, from any vector that it covers; the
// sender may have gone on, and the receiver too.
func (w *world) pull(t *rapid.T) {
	from := rapid.IntRange(0, 2).Draw(t, "from")
	to := (from + rapid.IntRange(1, 2).Draw(t, "to")) % 3
	w.past[to] = append(w.past[to], w.ns[to].Vector())
	since := rapid.SampledFrom(w.past[to]).Draw(t, "since")
	d := deltaOf(t, w.ns[from], since)
	d.entries = rapid.Permutation(d.entries).Draw(t, "order")
	sent := w.models[from].clone()
	done, err := d.applyOvertaken(w.ns[to], func() {
		if rapid.Bool().Draw(t, "the receiver commits meanwhile") {
			w.commitTo(t, to)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if behind := w.models[to].vector.Behind(sent.vector); done.Changed != (len(behind) > 0) {
		t.Fatalf("applied %+v, but it was behind by %v", done, behind)
	}
	w.models[to].merge(sent)
}

func (w *world) reopen(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "store")
	w.abort(n)
	if err := w.stores[n].Close(); err != nil {
		t.Fatal(err)
	}
	w.open(n)
}

func TestAnyHistoryLeavesWhatJoiningWholeStatesLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{fleet: fleet{t: t}}
		for n := range w.disks {
			w.disks[n] = vfs.NewMem()
			w.models[n] = newModel()
			w.past[n] = []crdt.Vector{{}}
			w.open(n)
		}
		defer w.close()
		t.Repeat(map[string]func(*rapid.T){
			"commit":  w.commit,
			"commit2": w.commit,
			"pull":    w.pull,
			"pull2":   w.pull,
			"reopen":  w.reopen,
			"": func(t *rapid.T) {
				for n := range w.ns {
					w.models[n].check(t, fmt.Sprintf("store %d", n), w.ns[n])
				}
			},
		})
		w.converge(t)
	})
}

// converge pulls until all have everything, and compares them.
func (w *world) converge(t *rapid.T) {
	for range 2 {
		for n := range w.ns {
			pull(t, w.ns[n], w.ns[(n+1)%3])
		}
	}
	want := state(t, w.ns[0])
	for n := 1; n < 3; n++ {
		if !slices.Equal(state(t, w.ns[n]), want) {
			t.Fatalf("store %d differs from store 0 with all exchanged", n)
		}
	}
	for n, s := range w.stores {
		if err := s.Check(context.Background()); err != nil {
			t.Fatalf("store %d: %v", n, err)
		}
		if n := s.Staged(t); n > 0 {
			t.Fatalf("with everything merged %d keys are staged", n)
		}
	}
}

// state returns a namespace's records, canonically, and its vector.
func state(t tb, ns *store.Namespace) (lines []string) {
	s, err := ns.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for e, err := range s.Scan(crdt.AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%q %x", e.Key, crdt.AppendCanonical(nil, e.Record)))
	}
	return append(lines, fmt.Sprintf("%x", crdt.AppendVector(nil, s.Vector())))
}
