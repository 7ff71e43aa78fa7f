package crashdisk

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A power cut in the middle of a replacement leaves the old file or the new one,
// whole, whatever else it leaves; and an fsync that failed is lost for good.
func TestACutLeavesWhatADiskWouldLeave(t *testing.T) {
	d := New(vfs.NewCrashableMem(), Journaled)
	must(d.MkdirAll("db", 0o755))
	root, err := d.OpenDir("/")
	must(err)
	must(root.Sync())
	replace := func(text string) {
		f, err := d.Create("db/file.new", vfs.WriteCategoryUnspecified)
		must(err)
		_, err = f.Write([]byte(text))
		must(err)
		must(f.Sync())
		must(f.Close())
		must(d.Rename("db/file.new", "db/file"))
	}
	replace("the old text, which is longer")
	dir, err := d.OpenDir("db")
	must(err)
	must(dir.Sync())
	replace("the new one")
	seen := map[string]int{}
	for seed := range uint64(200) {
		left := d.Cut(50, seed)
		seen[string(slurp(left, "db/file"))]++
	}
	if len(seen) != 2 || seen["the new one"] == 0 {
		t.Errorf("cuts left %v", seen)
	}
	if a, b := slurp(d.Cut(50, 7), "db/file"), slurp(d.Cut(50, 7), "db/file"); string(a) != string(b) {
		t.Errorf("one seed left %q and %q", a, b)
	}

	d.Lose("db/lost")
	f, err := d.Create("db/lost", vfs.WriteCategoryUnspecified)
	must(err)
	_, err = f.Write([]byte("x"))
	must(err)
	must(f.Sync())
	must(dir.Sync())
	if got := slurp(d.Cut(0, 1), "db/lost"); len(got) > 0 {
		t.Errorf("the fsync of a lost file left %q", got)
	}
}
