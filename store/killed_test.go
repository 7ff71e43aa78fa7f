package store_test

import (
	"io"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/store"
)

// pageCache is a disk below a process that will be killed: what it writes is
// there for the next process, but an fsync of its last log does nothing, as if
// it had not come to it. It has no lock, since a killed process holds none.
type pageCache struct {
	vfs.FS
	killed bool
}

func (d *pageCache) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (d *pageCache) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return &pageCacheFile{f, d}, err
}

func (d *pageCache) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return &pageCacheFile{f, d}, err
}

type pageCacheFile struct {
	vfs.File
	disk *pageCache
}

func (f *pageCacheFile) Sync() error {
	if f.disk.killed {
		return nil
	}
	return f.File.Sync()
}

func (f *pageCacheFile) SyncData() error { return f.Sync() }

// What the process had written was never fsynced when it was killed, and the
// next one finds it all the same: then it is the next one's to make durable
// before it tells anyone.
func TestWhatAKilledProcessLeftIsDurableOnceOpen(t *testing.T) {
	f := &fleet{t: t}
	mem := vfs.NewCrashableMem()
	disk := &pageCache{FS: mem}
	killed := f.openNamespace(1, disk)
	put := func(ns *store.Namespace, k int) {
		if _, err := ns.Commit(&store.Write{Ops: []store.Op{set(numbered(k), "x")}}); err != nil {
			t.Fatal(err)
		}
	}
	put(killed, 0)
	disk.killed = true
	put(killed, 1)
	put(killed, 2)

	ns := f.openNamespace(1, mem)
	want := state(t, ns)
	if len(want) != 4 || !ns.Durable().Expand().Equal(ns.Vector()) {
		t.Fatalf("found %q, durable is %v", want, ns.Durable().Expand())
	}
	if got := state(t, f.openNamespace(1, mem.CrashClone(vfs.CrashCloneCfg{}))); !slices.Equal(got, want) {
		t.Fatalf("the power cut left %q of %q", got, want)
	}
	put(ns, 3)
	want = state(t, ns)
	if got := state(t, f.openNamespace(1, mem.CrashClone(vfs.CrashCloneCfg{}))); !slices.Equal(got, want) {
		t.Fatalf("the power cut left %q of %q", got, want)
	}
}
