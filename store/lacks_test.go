package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/store"
)

func TestAPeerLacksMostByKeysAndNotByTransactions(t *testing.T) {
	f := &fleet{t: t}
	here, peer := f.openNamespace(0, vfs.NewMem()), f.openNamespace(1, vfs.NewMem())
	for i := range 10 { // a hundred keys in ten transactions
		var ops []store.Op
		for j := range 10 {
			ops = append(ops, set(numbered(10*i+j), "v"))
		}
		commit(t, here, ops...)
	}
	lacks := func(least int, want bool) {
		t.Helper()
		s := snapshot(t, here)
		defer s.Close()
		if got, err := s.LacksMost(here.Past(peer.Vector()), least); err != nil || got != want {
			t.Errorf("lacks most, and at least %d: %v, %v, want %v", least, got, err, want)
		}
	}
	lacks(100, true)
	lacks(101, false)
	for i := range 100 { // half of all keys, but nearly all transactions
		commit(t, peer, set(numbered(1000+i), "v"))
	}
	pull(t, here, peer)
	lacks(100, true)
	commit(t, peer, set(numbered(2000), "v"))
	pull(t, here, peer)
	lacks(100, false)
	pull(t, peer, here)
	lacks(1, false)
}

func TestASnapshotTellsHowMuchItReaches(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	reaches := func(bytes int, want bool) {
		t.Helper()
		s := snapshot(t, ns)
		defer s.Close()
		if got, err := s.Reaches(bytes); err != nil || got != want {
			t.Errorf("reaches %d: %v, %v, want %v", bytes, got, err, want)
		}
	}
	reaches(1, false)
	for i := range 10 {
		commit(t, ns, set(numbered(i), strings.Repeat(fmt.Sprint(i), 100)))
	}
	reaches(1000, true)
	reaches(1000+10*64, false)
}
