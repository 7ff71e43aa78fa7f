package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

func remove(k crdt.Key) store.Op { return store.Op{Key: k, Removed: true} }

// collect collects all that it may, but nothing that expired.
func collect(t tb, ns *store.Namespace, removable crdt.Vector) store.Collected {
	t.Helper()
	return collectExpired(t, ns, removable, 0)
}

// collectExpired collects what expired by a time as well.
func collectExpired(t tb, ns *store.Namespace, removable crdt.Vector, expired int64) store.Collected {
	t.Helper()
	if err := ns.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	done, err := ns.Collect(context.Background(), ns.Past(removable), expired)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func checkStore(t tb, s *store.Store) {
	t.Helper()
	if err := s.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// visible returns what can be read before anything expires, and the vector.
func visible(t tb, ns *store.Namespace) (lines []string) {
	t.Helper()
	return visibleAt(t, ns, 0)
}

// visibleAt returns what can be read at a time, and the vector.
func visibleAt(t tb, ns *store.Namespace, at int64) (lines []string) {
	t.Helper()
	s := snapshot(t, ns)
	defer s.Close()
	for e, err := range s.Scan(crdt.AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		if rec := e.Record.At(at).Visible(); len(rec) > 0 {
			lines = append(lines, fmt.Sprintf("%q %x", e.Key, crdt.AppendCanonical(nil, rec)))
		}
	}
	return append(lines, fmt.Sprintf("%x", crdt.AppendVector(nil, s.Vector())))
}

func countRecords(t tb, ns *store.Namespace) (n int) {
	t.Helper()
	s := snapshot(t, ns)
	defer s.Close()
	for _, err := range s.Scan(crdt.AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// A removal goes, and with it its log entry: nothing that is read changes, the
// floor tells, and the next open finds the vector though the log's end is gone.
func TestACollectionDropsRemovalsAndChangesNothingElse(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	ns := create(t, s)
	commit(t, ns, set(numbered(1), "stays"), set(numbered(2), "goes"))
	last := commit(t, ns, remove(numbered(2)), remove(numbered(3)))
	want := visible(t, ns)
	if done := collect(t, ns, ns.Vector()); done.Removals != 2 || done.Log != 1 {
		t.Errorf("collected %+v", done)
	}
	if n := countRecords(t, ns); n != 1 {
		t.Errorf("%d records are left", n)
	}
	if got := visible(t, ns); !slices.Equal(got, want) {
		t.Errorf("read\n%v\nbefore\n%v", got, want)
	}
	if floor := ns.Floor(); !floor.Covers(last) {
		t.Errorf("the floor is %v", floor)
	}
	checkStore(t, s)
	if done := collect(t, ns, ns.Vector()); done != (store.Collected{}) {
		t.Errorf("again %+v", done)
	}
	s, ns = f.reopen(1, disk, s)
	if got := visible(t, ns); !slices.Equal(got, want) {
		t.Errorf("after opening again\n%v\nbefore\n%v", got, want)
	}
	if floor := ns.Floor(); !floor.Covers(last) {
		t.Errorf("after opening again the floor is %v", floor)
	}
	checkStore(t, s)
	next := commit(t, ns, set(numbered(2), "new"))
	if next == last {
		t.Errorf("dot %v was given out twice", next)
	}
	checkStore(t, s)
}

// What removable does not cover stays, also beside a removal that goes.
func TestACollectionKeepsWhatIsNotRemovable(t *testing.T) {
	f := &fleet{t: t}
	a, b := f.openNamespace(1, vfs.NewMem()), f.openNamespace(2, vfs.NewMem())
	commit(t, a, remove(numbered(1)))
	early := a.Vector()
	commit(t, b, remove(numbered(1)), remove(numbered(2)))
	pull(t, a, b)
	if done := collect(t, a, early); done.Removals != 1 || done.Log != 1 {
		t.Errorf("collected %+v", done)
	}
	if n := countRecords(t, a); n != 2 {
		t.Errorf("%d records are left, want 2", n)
	}
	if a.Floor().CoversAll(b.Vector()) {
		t.Error("the floor covers what was not collected")
	}
}

// A key set that is overwritten for ever leaves a log that follows the keys.
func TestTheLogFollowsTheLiveState(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	ns := create(t, s)
	for round := range 4 {
		for i := range 9000 {
			commit(t, ns, set(numbered(i%10), fmt.Sprint(round, i)))
		}
		collect(t, ns, nil)
		entries := 0
		for k := range s.Pairs(t) {
			if k[0] == 5 && k[5] == 4 {
				entries++
			}
		}
		if entries > 10 {
			t.Fatalf("round %d: %d log entries for 10 records", round, entries)
		}
	}
	checkStore(t, s)
	want := state(t, ns)
	s, ns = f.reopen(1, disk, s)
	if got := state(t, ns); !slices.Equal(got, want) {
		t.Error("another state after opening again")
	}
	checkStore(t, s)
}

// A peer that missed a removal gets no delta from one that collected it; one
// that holds nothing does, and has the floor then.
func TestNoDeltaIsBuiltFromBelowTheFloor(t *testing.T) {
	f := &fleet{t: t}
	a, b, c := f.openNamespace(1, vfs.NewMem()), f.openNamespace(2, vfs.NewMem()), f.openNamespace(3, vfs.NewMem())
	commit(t, a, set(numbered(1), "x"), set(numbered(2), "y"))
	pull(t, b, a)
	at := b.Vector()
	commit(t, a, remove(numbered(1)))
	late := deltaOf(t, a, at)
	collect(t, a, a.Vector())
	if _, err := tryDeltaOf(t, a, at); !errors.Is(err, store.ErrBelowFloor) {
		t.Errorf("a delta from below the floor: %v", err)
	}
	all := deltaOf(t, a, nil)
	if _, err := all.tryApply(b); !errors.Is(err, store.ErrBelowFloor) {
		t.Errorf("what is for an empty peer was applied at one that is not: %v", err)
	}
	all.apply(t, c)
	if !c.Floor().Equal(a.Floor()) || !slices.Equal(visible(t, c), visible(t, a)) {
		t.Errorf("the empty peer has the floor %v, want %v", c.Floor(), a.Floor())
	}
	late.apply(t, b) // it was built before
	if got := visible(t, b); !slices.Equal(got, visible(t, a)) {
		t.Errorf("the peer reads %v", got)
	}
}

// With the records of a peer comes its floor: they may lack removals up to it,
// which were here before.
func TestAFloorTravelsWithRecords(t *testing.T) {
	for _, stage := range []int{1, 1 << 20} {
		f := &fleet{t: t}
		a := f.openNamespace(1, vfs.NewMem())
		o := f.options(2, vfs.NewMem())
		o.StageBytes = stage
		s := f.openWith(o)
		b := create(t, s)
		commit(t, a, set(numbered(1), "x"), remove(numbered(2)))
		pull(t, b, a)
		collect(t, a, a.Vector())
		commit(t, a, set(numbered(3), "y"), set(numbered(4), "z"))
		pull(t, b, a)
		if !b.Floor().Equal(a.Floor()) || len(b.Floor()) == 0 {
			t.Errorf("staged from %d: the floor is %v, want %v", stage, b.Floor(), a.Floor())
		}
		checkStore(t, s)
	}
}

// Where a removal of ours was collected the log says no more that we touched
// the key; a peer that has not seen it must not replace our record unread.
func TestAStalePeerDoesNotBringBackWhatWasCollected(t *testing.T) {
	for _, stage := range []int{1, 1 << 20} {
		f := &fleet{t: t}
		b := f.openNamespace(2, vfs.NewMem())
		o := f.options(1, vfs.NewMem())
		o.StageBytes = stage
		opened := f.openWith(o)
		a := create(t, opened)
		commit(t, b, set(numbered(1), "x"))
		pull(t, a, b)
		commit(t, a, remove(numbered(1)))
		collect(t, a, a.Vector())
		if err := opened.Close(); err != nil { // it knew of the removal in memory
			t.Fatal(err)
		}
		a = create(t, f.openWith(o))
		commit(t, b, set(numbered(2), "y"))
		deltaOf(t, b, nil).apply(t, a) // all it has
		if got := get(t, a, numbered(1)); len(got) != 0 {
			t.Errorf("staged from %d: the removed value %v came back", stage, got)
		}
	}
}

// A fleet's checkpoints: what has been here for an hour, by the clock of the
// run, and by the wall clock where it is right.
func TestACheckpointTellsWhatHasBeenHereForAWhile(t *testing.T) {
	f := &fleet{t: t}
	disk := vfs.NewMem()
	s := f.open(1, disk)
	ns := create(t, s)
	var at store.Moment
	point := func(want crdt.Vector, what string) {
		t.Helper()
		if err := ns.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		v, err := ns.Checkpoint(at, time.Hour, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		var got crdt.Vector
		if v != nil {
			got = v.Expand()
		}
		if (v == nil) != (want == nil) || !got.Equal(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	year := 365 * 24 * time.Hour
	wall := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	commit(t, ns, set(numbered(1), "x"))
	first := ns.Vector()
	point(nil, "before there was one")
	at.Run += 30 * time.Minute
	commit(t, ns, set(numbered(2), "x"))
	point(nil, "half an hour old")
	at.Run += 40 * time.Minute
	second := ns.Vector()
	point(first, "an hour old")
	reopen := func() {
		s, ns = f.reopen(1, disk, s)
		at.Run = 0
	}
	reopen()
	point(first, "after opening again")
	at.Run += 10 * time.Minute
	at.Wall = wall.Add(10 * year) // nobody knows when the note before was made
	point(first, "with a clock that is right now")
	at.Run += 50 * time.Minute
	point(second, "an hour later")
	commit(t, ns, set(numbered(3), "x"))
	at.Run += time.Hour
	at.Wall = time.Time{} // it jumps, and nobody vouches for it
	third := ns.Vector()
	point(second, "with the clock off")
	at.Run, at.Wall = at.Run+time.Hour, wall
	point(third, "another hour")
	commit(t, ns, set(numbered(4), "x"))
	fourth := ns.Vector()
	at.Run, at.Wall = at.Run+time.Hour, wall.Add(time.Hour)
	point(third, "an hour of a clock that was right twice")
	reopen()
	at.Wall = wall.Add(2 * time.Hour)
	point(fourth, "switched off for an hour")
	reopen()
	at.Wall = wall.Add(-year) // it was right, and is right again: this cannot be
	at.Run = time.Minute
	point(fourth, "with a clock that went back")
}
