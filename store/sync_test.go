package store_test

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/store"
)

func TestTwoStoresThatWroteApartAgreeAfterTwoDeltas(t *testing.T) {
	f := &fleet{t: t}
	a, b := f.openNamespace(1, vfs.NewMem()), f.openNamespace(2, vfs.NewMem())
	commit(t, a, set(key("x"), "of a"), set(key("y"), "of a"))
	commit(t, b, set(key("x"), "of b"), set(key("z"), "of b"))
	pull(t, a, b)
	pull(t, b, a)
	for _, ns := range []*store.Namespace{a, b} {
		if x := get(t, ns, key("x")); !slices.Equal(x, []string{"of a", "of b"}) {
			t.Errorf("x is %q, want both values", x)
		}
		if z := get(t, ns, key("z")); !slices.Equal(z, []string{"of b"}) {
			t.Errorf("z is %q", z)
		}
	}
	if !a.Vector().Equal(b.Vector()) {
		t.Errorf("vectors %v and %v", a.Vector(), b.Vector())
	}
}
