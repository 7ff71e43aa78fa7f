package store_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// Whoever lacks much is told the same as whoever lacks little, in key order:
// what is at the keys that were touched since, of any writer, removals too, and
// nothing else.
func TestChangesOfMuchAreReadInKeyOrder(t *testing.T) {
	f := &fleet{t: t}
	here, peer := f.openNamespace(0, vfs.NewMem()), f.openNamespace(1, vfs.NewMem())
	const keys = 6000
	for i := range keys {
		commit(t, here, set(numbered(i), "old"))
	}
	pull(t, peer, here)
	since := here.Vector()
	touched := map[crdt.Key]bool{}
	touch := func(ns *store.Namespace, at int, op store.Op) {
		op.Key = numbered(at)
		touched[op.Key] = true
		commit(t, ns, op)
	}
	for i := range 4500 { // in an order that is not the keys'
		touch(here, i*3707%keys, store.Op{Value: []byte("new"), Removed: i%7 == 0})
	}
	for i := range 100 {
		touch(peer, i*59%keys, store.Op{Value: []byte("theirs")})
	}
	pull(t, here, peer)

	snap := snapshot(t, here)
	defer snap.Close()
	var want, got []crdt.Entry
	for e, err := range snap.Scan(crdt.AllKeys) {
		if err != nil {
			t.Fatal(err)
		}
		if touched[e.Key] {
			want = append(want, e)
		}
	}
	for e, err := range snap.Changes(here.Past(since)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if !slices.IsSortedFunc(got, func(a, b crdt.Entry) int { return strings.Compare(string(a.Key), string(b.Key)) }) {
		t.Error("they are not in key order")
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d records of the %d at keys that were touched", len(got), len(want))
	}
}
