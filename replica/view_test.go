package replica

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// putAll commits value at several register paths of one part.
func putAll(t *testing.T, ns *Namespace, value string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		put(t, ns, value, path)
	}
}

// A view is of the moment that it began, whatever it reads first, and from
// wherever it is read: the cache, Pebble's present, or a snapshot.
func TestAViewIsOfTheMomentThatItBegan(t *testing.T) {
	ns := openNamespace(t)
	putAll(t, ns, "old", "a", "b", "c")
	for range 3 { // a is cached
		wantRead(t, ns, "old", "a")
	}
	err := ns.View(t.Context(), func(v *View) error {
		putAll(t, ns, "new", "a", "b", "c", "d")
		for _, path := range []string{"a", "b", "c", "b", "a", "a"} {
			if got, err := read(v, keyAt(path)); got != "old" || err != nil {
				return fmt.Errorf("%s is %q, %v", path, got, err)
			}
			wantRead(t, ns, "new", path)
		}
		if got, err := read(v, keyAt("d")); got != "" || err != nil {
			return fmt.Errorf("d is %q, %v", got, err)
		}
		n := 0
		for e, err := range v.Scan(crdt.AllKeys) {
			if n++; err != nil || string(e.Record[0].Value) != "old" {
				return fmt.Errorf("%q is %v, %v", e.Key, e.Record, err)
			}
		}
		if n != 3 {
			return fmt.Errorf("%d keys were scanned", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAViewThatEndedReadsNothingFromTheCache(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "one", "a")
	for range 3 {
		wantRead(t, ns, "one", "a")
	}
	var kept *View
	if err := ns.View(t.Context(), func(v *View) error { kept = v; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err := read(kept, keyAt("a"))
	wantIs(t, err, ErrTxEnded)
	err = ns.View(t.Context(), func(v *View) error {
		if err := ns.db.Close(); err != nil {
			return err
		}
		_, err := read(v, keyAt("a"))
		return err
	})
	wantIs(t, err, ErrClosed)
}

// What expires is hidden by the moment of the view, though the cache knows it.
func TestACachedRecordExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ns := openNamespace(t)
		err := ns.Update(t.Context(), func(tx *Tx) error { return tx.Expiring(time.Second).Put(keyAt("a"), []byte("one")) })
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			wantRead(t, ns, "one", "a")
		}
		time.Sleep(time.Second)
		wantRead(t, ns, "", "a")
		if err := ns.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A read of one cached record in a view of its own allocates the view.
func TestACachedReadAllocatesItsView(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "one", "a")
	k, ctx := keyAt("a"), context.Background()
	one := func() {
		err := ns.View(ctx, func(v *View) error {
			rec, err := v.Get(k)
			if len(rec) != 1 {
				err = errors.Join(err, errors.New("no record"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		one()
	}
	if n := testing.AllocsPerRun(100, one); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
