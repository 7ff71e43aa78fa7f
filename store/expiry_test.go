package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// expiring returns an op whose value expires at a time.
func expiring(k crdt.Key, value string, expires int64) store.Op {
	return store.Op{Key: k, Value: []byte(value), Expires: expires}
}

// entries counts the entries of the expiry index.
func entries(t *testing.T, s *store.Store) (n int) {
	t.Helper()
	for k := range s.Pairs(t) {
		if k[0] == 5 && k[5] == 9 {
			n++
		}
	}
	return n
}

// soon is about an hour after the clock of a fleet begins.
const soon = 1_700_003_600_000

func TestACollectionDropsWhatHasExpired(t *testing.T) {
	for _, stage := range []int{1, 1 << 20} {
		f := &fleet{t: t}
		disk := vfs.NewMem()
		writer := f.openNamespace(2, vfs.NewMem())
		o := f.options(1, disk)
		o.StageBytes = stage
		s := f.openWith(o)
		ns := create(t, s)
		commit(t, ns, expiring(numbered(1), "short", soon), expiring(numbered(2), "long", 2*soon), set(numbered(3), "stays"))
		commit(t, writer, expiring(numbered(4), "a peer's", soon), expiring(numbered(1), "beside it", 2*soon))
		pull(t, ns, writer)
		want := visibleAt(t, ns, soon)
		if done := collectExpired(t, ns, ns.Vector(), soon-1); done.Expired != 0 {
			t.Errorf("staged from %d: before its time %+v", stage, done)
		}
		late := int64(soon + soon/100)
		if done := collectExpired(t, ns, crdt.Vector{}, late); done.Expired != 0 {
			t.Errorf("staged from %d: not removable %+v", stage, done)
		}
		if done := collectExpired(t, ns, ns.Vector(), late); done.Expired != 2 || done.Removals != 0 {
			t.Errorf("staged from %d: collected %+v", stage, done)
		}
		if got := visible(t, ns); !slices.Equal(got, want) {
			t.Errorf("staged from %d: read\n%v\nwant\n%v", stage, got, want)
		}
		if n := entries(t, s); n != 2 {
			t.Errorf("staged from %d: %d entries lead to 2 values", stage, n)
		}
		checkStore(t, s)
		if s, ns = f.reopen(1, disk, s); !slices.Equal(visible(t, ns), want) {
			t.Errorf("staged from %d: another state after opening again", stage)
		}
		checkStore(t, s)
	}
}

// A key that is written again and again has a few index entries, and they go
// when their time has come.
func TestTheExpiryIndexFollowsTheLiveState(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	ns := create(t, s)
	for i := range int64(2000) {
		commit(t, ns, expiring(numbered(0), fmt.Sprint(i), soon+60_000*i))
		f.clock += 60_000
	}
	if n := entries(t, s); n < 2 || n > 120 { // 2,000 minutes have 115 of the least buckets
		t.Errorf("%d entries for one record", n)
	}
	commit(t, ns, set(numbered(0), "for ever"))
	collectExpired(t, ns, ns.Vector(), 2*soon)
	if n := entries(t, s); n != 0 {
		t.Errorf("%d entries lead nowhere", n)
	}
	if got := get(t, ns, numbered(0)); !slices.Equal(got, []string{"for ever"}) {
		t.Errorf("%v is left", got)
	}
}

// What leads nowhere goes as soon as its time has come, and not only when what
// it led to would have been collected.
func TestTheExpiryIndexDoesNotGrowWithTheRetention(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	ns := create(t, s)
	for hour := range 6 {
		for range 900 {
			f.clock += 4000
			commit(t, ns, expiring(numbered(0), "alive", f.now().UnixMilli()+60_000))
		}
		collectExpired(t, ns, ns.Vector(), f.now().UnixMilli()-7*24*3_600_000)
		if n := entries(t, s); n > 2 {
			t.Fatalf("%d entries for one record after hour %d", n, hour)
		}
		checkStore(t, s)
	}
	f.clock += 2_000_000
	now := f.now().UnixMilli()
	for _, late := range []int64{0, now} {
		done := collectExpired(t, ns, ns.Vector(), late)
		if n := entries(t, s); done.Expired != min(1, int(late)) || n != 1-done.Expired {
			t.Errorf("collected %+v of what has expired by %d, %d entries are left", done, late, n)
		}
	}
}

// What has expired superseded what it replaced: its dot enters the floor, or a
// peer that never saw it would keep what was replaced, and nobody would tell.
func TestACollectedExpiryEntersTheFloor(t *testing.T) {
	f := &fleet{t: t}
	a, b := f.openNamespace(1, vfs.NewMem()), f.openNamespace(2, vfs.NewMem())
	commit(t, a, set(numbered(1), "older"))
	pull(t, b, a)
	at := b.Vector()
	last := commit(t, a, expiring(numbered(1), "newer", soon))
	collectExpired(t, a, a.Vector(), 2*soon)
	if !a.Floor().Covers(last) {
		t.Fatalf("the floor is %v", a.Floor())
	}
	if _, err := tryDeltaOf(t, a, at); !errors.Is(err, store.ErrBelowFloor) {
		t.Fatalf("a delta from below the floor: %v", err)
	}
	reconcile(t, b, a)
	if got := get(t, b, numbered(1)); len(got) != 0 {
		t.Errorf("the older value %v is back", got)
	}
}

// reconcile brings a namespace to what a source holds.
func reconcile(t *testing.T, to, from *store.Namespace) {
	t.Helper()
	began, err := to.Reconcile()
	if err != nil {
		t.Fatal(err)
	}
	r := &rejoin{Reconciliation: began}
	source := snapshot(t, from)
	defer source.Close()
	r.from(t, to, from, source)
	r.compare(t, source, 1<<30)
	if _, err := r.Finish(); err != nil {
		t.Fatal(err)
	}
}

// A peer that has not collected a value sends it again, with what was written
// beside it: it does not come back. And what is under the floor but has not
// expired is not taken for collected.
func TestWhatAPeerStillHoldsDoesNotComeBack(t *testing.T) {
	for _, stage := range []int{1, 1 << 20} {
		f := &fleet{t: t}
		b, c := f.openNamespace(2, vfs.NewMem()), f.openNamespace(3, vfs.NewMem())
		o := f.options(1, vfs.NewMem())
		o.StageBytes = stage
		s := f.openWith(o)
		a := create(t, s)
		commit(t, a, expiring(numbered(1), "short", soon), expiring(numbered(2), "long", 1<<42))
		pull(t, b, a)
		commit(t, c, set(numbered(1), "beside"), set(numbered(2), "beside"))
		pull(t, b, c)
		collectExpired(t, a, a.Vector(), 2*soon)
		pull(t, a, b)
		if got := get(t, a, numbered(1)); !slices.Equal(got, []string{"beside"}) {
			t.Errorf("staged from %d: after its collection there is %v", stage, got)
		}
		if got := get(t, a, numbered(2)); len(got) != 2 {
			t.Errorf("staged from %d: of what has not expired there is %v", stage, got)
		}
		checkStore(t, s)
	}
}

func TestACommitRefusesAnImpossibleExpiry(t *testing.T) {
	f := &fleet{t: t}
	ns := f.openNamespace(1, vfs.NewMem())
	counter, err := crdt.MakeKey(crdt.Path{"c"}, crdt.TypeCounter, "s")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []store.Op{
		expiring(numbered(1), "v", -1), expiring(numbered(1), "v", crdt.MaxExpires+1), expiring(counter, "v", soon),
		{Key: numbered(1), Removed: true, Expires: soon},
	} {
		if _, err := ns.Commit(&store.Write{Ops: []store.Op{op}}); !errors.Is(err, crdt.ErrExpiry) {
			t.Errorf("%+v: error %v", op, err)
		}
	}
}

// A value has one entry in the index, also where it comes again beside others,
// so much later that its bucket would be another one.
func TestWhatIsIndexedIsNotIndexedAgain(t *testing.T) {
	const day = 24 * 3_600_000
	for _, stage := range []int{1, 1 << 20} {
		f := &fleet{t: t}
		a, b := f.openNamespace(2, vfs.NewMem()), f.openNamespace(3, vfs.NewMem())
		o := f.options(1, vfs.NewMem())
		o.StageBytes = stage
		s := f.openWith(o)
		ns := create(t, s)
		commit(t, a, expiring(numbered(1), "long", soon+20*day))
		commit(t, b, set(numbered(1), "beside it"))
		pull(t, ns, a)
		pull(t, b, a)
		f.clock += 20 * day
		if done := pull(t, ns, b); !done.Changed || entries(t, s) != 1 {
			t.Errorf("staged from %d: %d entries lead to one value", stage, entries(t, s))
		}
		collectExpired(t, ns, ns.Vector(), 0)
		checkStore(t, s)
	}
}

// The first collection of a namespace puts no entries for what has some.
func TestTheFirstCollectionFindsWhatIsIndexed(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	ns := create(t, s)
	const day = 24 * 3_600_000
	for i := range 10 {
		commit(t, ns, expiring(numbered(i), "long", soon+20*day))
	}
	f.clock += 20 * day // so that a bucket would be narrower now
	collectExpired(t, ns, ns.Vector(), 0)
	if n := entries(t, s); n != 10 {
		t.Errorf("%d entries lead to 10 values", n)
	}
	checkStore(t, s)
}

// What the first release carried has no entry in the index; the first
// collection finds it.
func TestTheFirstCollectionFindsWhatWasNotIndexed(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	ns := create(t, s)
	commit(t, ns, expiring(numbered(1), "short", soon), expiring(numbered(2), "long", 2*soon))
	s.DropExpiryIndex(t, ns)
	checkStore(t, s)
	before := snapshot(t, ns)
	defer before.Close()
	collectExpired(t, ns, ns.Vector(), 0)
	if n := entries(t, s); n != 2 {
		t.Errorf("%d entries lead to 2 values", n)
	}
	checkStore(t, s)
	if err := store.CheckSnapshot(before); err != nil {
		t.Errorf("a check that the first collection has overtaken: %v", err)
	}
	s.DropExpiryIndex(t, ns)
	if err := s.Check(context.Background()); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a check without the index: %v", err)
	}
}
