package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// namedDisk remembers the tables that are made for ingestion.
type namedDisk struct {
	vfs.FS
	made []string
}

func (d *namedDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.Contains(name, "stage/") {
		d.made = append(d.made, name)
	}
	return d.FS.Create(name, c)
}

func (d *namedDisk) count(what string) (n int) {
	for _, name := range d.made {
		if strings.Contains(name, what) {
			n++
		}
	}
	return n
}

// staging is one way in which a delta comes to a new store.
type staging struct {
	bytes int    // of StageBytes
	order string // of the records
	ours  bool   // some of them were written here too
}

// arrive applies d at a new store of the fleet. It returns what the store holds then, and the
// tables that were made.
func (w staging) arrive(t *testing.T, f *fleet, d delta) (records []string, tables *namedDisk, staged bool) {
	t.Helper()
	tables = &namedDisk{FS: vfs.NewMem()}
	o := f.options(1, tables)
	o.StageBytes = w.bytes
	s := f.openWith(o)
	ns := create(t, s)
	if w.ours {
		commit(t, ns, set(numbered(3), "ours"), set(numbered(40), "ours"), set(numbered(100), "ours"))
	}
	in, known := ns.Begin(), 0 // of the records, when the writers are learned
	if w.order == "learned late" {
		known = len(d.entries) / 2
	}
	if err := in.Add(d.entries[:known]...); err != nil {
		t.Fatal(err)
	}
	if err := ns.Learn(d.writers); err != nil {
		t.Fatal(err)
	}
	for _, e := range d.entries[known:] {
		if err := in.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	done, err := in.Finish(d.to, d.floor)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if done.Records != len(d.entries) {
		t.Errorf("%+v of %d records", done, len(d.entries))
	}
	if again := deltaOf(t, ns, ns.Vector()).entries; len(again) > 0 {
		t.Errorf("%d records changed since now", len(again))
	}
	return told(ns, deltaOf(t, ns, nil).entries), tables, done.Staged
}

// told returns what entries hold, without what differs from run to run of what
// ns wrote itself.
func told(ns *store.Namespace, entries []crdt.Entry) (lines []string) {
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%q", string(e.Key)))
		for _, ev := range e.Record {
			if ev.Writer == ns.Writer() {
				lines = append(lines, fmt.Sprintf("ours %q", ev.Value))
			} else {
				lines = append(lines, fmt.Sprint(ev))
			}
		}
	}
	return lines
}

// A staged delta leads to the same in whatever order its records come, and
// whenever its writers are learned. What comes in order, and meets nothing of
// ours, is written once.
func TestAStagedDeltaLeadsToTheSameInAnyOrder(t *testing.T) {
	f := &fleet{t: t}
	from := f.openNamespace(2, vfs.NewMem())
	for i := range 60 {
		commit(t, from, set(numbered(i), fmt.Sprint("of the peer ", i)), set(key("hot"), fmt.Sprint(i)))
	}
	commit(t, from, remove(numbered(7)), expiring(numbered(61), "for a while", 1<<47))
	d := deltaOf(t, from, nil)
	for _, ours := range []bool{false, true} {
		want, _, staged := staging{bytes: 1 << 20, ours: ours}.arrive(t, f, d)
		if staged {
			t.Fatal("what fits into memory was staged")
		}
		for _, order := range []string{"in order", "learned late", "backwards", "shuffled"} {
			slices.SortFunc(d.entries, store.CompareEntries)
			switch order {
			case "backwards":
				slices.Reverse(d.entries)
			case "shuffled":
				rand.Shuffle(len(d.entries), func(i, j int) { d.entries[i], d.entries[j] = d.entries[j], d.entries[i] })
			}
			got, tables, staged := staging{1, order, ours}.arrive(t, f, d)
			if !staged || !slices.Equal(got, want) {
				t.Errorf("%s, ours %v: staged %v, leads to %q, want %q", order, ours, staged, got, want)
			}
			// Beside the records there are what is known of writers, the log, and what expires.
			merged := tables.count("-merged-")
			if order == "in order" && !ours && (tables.count("-staged-") != 1 || merged != 3) {
				t.Errorf("tables %q were made", tables.made)
			}
		}
	}
}

// What is put again replaces what was put before, also where the writer was
// learned between, so that only the second could go into a table.
func TestWhatIsPutAgainCountsOnceItsWriterIsLearned(t *testing.T) {
	f := &fleet{t: t}
	from := f.openNamespace(2, vfs.NewMem())
	commit(t, from, set(key("k"), "before"))
	before := deltaOf(t, from, nil)
	commit(t, from, set(key("k"), "after"))
	o := f.options(1, vfs.NewMem())
	o.StageBytes = 1
	ns := create(t, f.openWith(o))
	began, err := ns.Reconcile()
	if err != nil {
		t.Fatal(err)
	}
	r := &rejoin{Reconciliation: began}
	r.put(t, before.entries[0])
	source := snapshot(t, from)
	defer source.Close()
	r.from(t, ns, from, source)
	if !r.compare(t, source, 1) {
		t.Fatal("more than the one record differs")
	}
	if _, err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, ns, key("k")); !slices.Equal(got, []string{"after"}) {
		t.Errorf("it reads %q", got)
	}
}

// A delta with an event beyond its vector is refused, also where all that it has
// lies in tables as it is.
func TestAStagedDeltaBeyondItsVectorIsRefused(t *testing.T) {
	f := &fleet{t: t}
	from := f.openNamespace(2, vfs.NewMem())
	for i := range 20 {
		commit(t, from, set(numbered(i), "x"))
	}
	d := deltaOf(t, from, nil)
	for w := range d.to {
		d.to[w]--
	}
	o := f.options(1, vfs.NewMem())
	o.StageBytes = 1
	ns := create(t, f.openWith(o))
	if done, err := d.tryApply(ns); err == nil || !strings.Contains(err.Error(), "not covered") {
		t.Errorf("%+v, %v", done, err)
	}
	if n := len(deltaOf(t, ns, nil).entries); n != 0 {
		t.Errorf("%d records are here", n)
	}
}
