package store_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// However much comes, in whatever order, and how often the same: it is read in
// order, from few files, and none of them is left.
func TestTheLogOfAStageIsSortedOnDisk(t *testing.T) {
	type entry struct {
		writer uint32
		seq    uint64
		key    crdt.Key
	}
	disk := vfs.NewMem()
	s := (&fleet{t: t}).open(0, disk)
	log := store.NewStageLog(s, 1000)
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []entry
	for range 120_000 {
		e := entry{rnd.Uint32N(3), 1 + rnd.Uint64N(20_000), numbered(rnd.IntN(4))}
		all = append(all, e)
		if err := log.Add(e.writer, e.seq, e.key); err != nil {
			t.Fatal(err)
		}
		if n := log.Runs(); n > 3*64 {
			t.Fatalf("%d runs", n)
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.writer, b.writer), cmp.Compare(a.seq, b.seq), cmp.Compare(a.key, b.key))
	})
	all = slices.Compact(all)
	for _, after := range []uint64{0, 9_999, 20_000} {
		for w := range uint32(4) {
			want := slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return e.writer != w || e.seq <= after })
			var got []entry
			err := log.Scan(w, after, func(seq uint64, k crdt.Key) error {
				got = append(got, entry{w, seq, k})
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("of writer %d above %d: %d entries, want %d: %v", w, after, len(got), len(want), err)
			}
		}
	}
	if err := log.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := disk.List("db/stage"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A run that was damaged is no absence of what was in it.
func TestADamagedLogOfAStageIsAnError(t *testing.T) {
	disk := vfs.NewMem()
	log := store.NewStageLog((&fleet{t: t}).open(0, disk), 1000)
	for i := range 10_000 {
		if err := log.Add(1, uint64(i)+1, key(fmt.Sprint(i*7919))); err != nil {
			t.Fatal(err)
		}
	}
	files, err := disk.List("db/stage")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		f, err := disk.OpenReadWrite("db/stage/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("!!!!"), 8); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	err = log.Scan(1, 0, func(uint64, crdt.Key) error { return nil })
	if err == nil {
		t.Error("it was read")
	}
	if err := log.Remove(); err != nil {
		t.Error(err)
	}
}
