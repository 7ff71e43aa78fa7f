package replica

import (
	"errors"
	"testing"
)

func TestAProfileBoundsWhatTheEmbedderLeftOpen(t *testing.T) {
	for p := ProfileStandard; p.known(); p++ {
		o, err := Options{Profile: p, MemTableBytes: 3 << 20}.validate()
		if err != nil {
			t.Fatal(err)
		}
		want := profiles[p]
		if o.CacheBytes != want.cacheBytes || o.MemoBytes != want.memos || o.RecordCacheBytes != want.recordCacheBytes || o.MemTableBytes != 3<<20 {
			t.Errorf("%v: cache %d, memos %d, memtable %d", p, o.CacheBytes, o.MemoBytes, o.MemTableBytes)
		}
		// Pebble takes its memtables out of the cache, which needs the rest.
		if want.cacheBytes < 3*want.memTableBytes || want.stageBytes > int(want.memTableBytes) {
			t.Errorf("%v: bounds that do not go together: %+v", p, want)
		}
		if found, err := ParseProfile(p.String()); found != p || err != nil {
			t.Errorf("%v is parsed as %v, %v", p, found, err)
		}
	}
}

func TestAProfileThatThereIsNotIsRefused(t *testing.T) {
	for _, p := range []Profile{-1, ProfileHub + 1} {
		if _, err := Open(t.TempDir(), Options{Profile: p}); !errors.Is(err, ErrOptions) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if _, err := ParseProfile("large"); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

// A store is the same under any profile: one that was made under one is opened
// under the next, smaller or larger.
func TestAStoreIsOpenedUnderAnyProfile(t *testing.T) {
	dir := t.TempDir()
	for n, p := range []Profile{ProfileStandard, ProfileSmallDevice, ProfileHub, ProfileSmallDevice} {
		db, err := Open(dir, Options{Profile: p})
		if err != nil {
			t.Fatal(p, err)
		}
		ns, err := db.Namespace("edge")
		if err != nil {
			t.Fatal(err)
		}
		if err := ns.Update(t.Context(), func(tx *Tx) error { return register(n).Set(tx, "here") }); err != nil {
			t.Fatal(err)
		}
		err = ns.View(t.Context(), func(v *View) error {
			for i := range n + 1 {
				if got, err := register(i).Get(v); got != "here" || err != nil {
					t.Errorf("%v: register %d is %q, %v", p, i, got, err)
				}
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add("small")
	f.Add("Profile(7)")
	f.Fuzz(func(t *testing.T, name string) {
		if p, err := ParseProfile(name); err == nil && p.String() != name {
			t.Errorf("%q is parsed as %v", name, p)
		}
	})
}
