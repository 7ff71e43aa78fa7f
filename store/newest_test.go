package store_test

import (
	"cmp"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// What is remembered of the log's end is what the log has there, whatever the
// sizes of the transactions; and the last of them are remembered, until
// something else has written to the log.
func TestTheLogsEndIsRememberedAsItIsOnDisk(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	draw := rand.New(rand.NewPCG(1, 1))
	known := 0
	for last := uint64(1); last <= 1500; last++ {
		keys := 1 + draw.IntN(3)
		if draw.IntN(100) == 0 {
			keys = 100 // more than are remembered of one
		}
		var ops []store.Op
		for _, k := range draw.Perm(2000)[:keys] {
			ops = append(ops, set(numbered(k), "v"))
		}
		commit(t, ns, ops...)
		after := last - min(last, 1+draw.Uint64N(20))
		got, want, all := ns.NewestLog(t, after, last)
		if !all {
			continue
		}
		known++
		if !slices.Equal(got, want) {
			t.Fatalf("after %d, up to %d: %q is remembered, %q is logged", after, last, got, want)
		}
	}
	if known < 1000 || known == 1500 {
		t.Errorf("%d of 1500 stretches were remembered", known)
	}
}

// Peers and watchers are told of the same changes by what is remembered as by
// the disk: of deltas of several writers too, and of what was overwritten.
func TestChangesAreTheSameFromMemoryAndFromDisk(t *testing.T) {
	f := &fleet{t: t}
	here, peer := f.openNamespace(0, vfs.NewMem()), f.openNamespace(1, vfs.NewMem())
	draw := rand.New(rand.NewPCG(2, 2))
	for range 300 {
		from := here.Vector()
		for _, ns := range []*store.Namespace{here, peer} {
			for range draw.IntN(3) {
				commit(t, ns, set(numbered(draw.IntN(20)), "v"), set(numbered(20+draw.IntN(20)), "w"))
			}
		}
		if draw.IntN(2) == 0 {
			pull(t, here, peer)
		}
		remembered := deltaOf(t, here, from)
		here.ForgetNewestLog()
		logged := deltaOf(t, here, from)
		for _, d := range []delta{remembered, logged} {
			slices.SortFunc(d.entries, func(a, b crdt.Entry) int { return cmp.Compare(a.Key, b.Key) })
		}
		if !reflect.DeepEqual(remembered, logged) {
			t.Fatalf("from memory %v, from the disk %v", remembered, logged)
		}
	}
}
