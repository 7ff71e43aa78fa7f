package store_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/store"
)

// cutDisk is a disk in memory that tells when something is about to reach it,
// and what a power cut at that moment would leave.
type cutDisk struct {
	vfs.FS
	mem *vfs.MemFS

	// before is called before each fsync, and before each other mutation if
	// every is set, from any goroutine of Pebble's.
	before atomic.Pointer[func()]
	every  bool
	still  *stillFS

	ops    atomic.Int64 // mutations so far
	sickAt atomic.Int64 // the mutation from which on all fail; 0 is never
}

// kind is how strict a disk is about directories. A careless one forgets a
// file whose directory was not fsynced, even if the file was. A journaled one
// is what ext4, xfs and f2fs are: an fsync makes all names made before it
// durable. What a careless one may leave when it leaves some of it, Pebble
// does not survive: a marker that names a file which is not there.
type kind bool

const (
	careless  kind = false
	journaled kind = true
)

// leftovers are what a power cut may leave on it.
func (k kind) leftovers() []leftover {
	if k == careless {
		return []leftover{nothing, allOfIt}
	}
	return []leftover{nothing, allOfIt, someOfIt}
}

func newCutDisk(mem *vfs.MemFS, k kind, every bool) *cutDisk {
	d := &cutDisk{mem: mem, every: every, still: &stillFS{FS: mem, kind: k}}
	d.FS = store.Hook(d.still, func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		if n, at := d.ops.Add(1), d.sickAt.Load(); at > 0 && n >= at {
			return syscall.EIO
		}
		if sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData; sync || d.every {
			if before := d.before.Load(); before != nil {
				(*before)()
			}
		}
		return nil
	})
	return d
}

// leftover is what a power cut may leave of what was not fsynced.
type leftover int

const (
	nothing  leftover = iota // only what was fsynced is there
	allOfIt                  // the disk had written everything
	someOfIt                 // some files, and some blocks of files
	leftovers
)

func (l leftover) String() string { return [...]string{"nothing", "all of it", "some of it"}[l] }

// cut returns what a power cut would leave now. What is left of the parts
// follows from the seed.
func (d *cutDisk) cut(left leftover, seed uint64) *vfs.MemFS {
	d.still.mu.Lock() // so that both clones are of one moment
	least, most := d.clone(0), d.clone(100)
	d.still.mu.Unlock()
	switch left {
	case nothing:
		return least
	case allOfIt:
		return most
	}
	m := &mixer{least: least, most: most, out: vfs.NewCrashableMem(), seed: seed}
	m.dir("")
	return m.out
}

func (d *cutDisk) clone(percent int) *vfs.MemFS {
	return d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
}

// mixer makes a disk of some files and blocks of one and some of another. It
// stands in for MemFS's own partial clones, whose choice follows the order of
// Go's maps.
type mixer struct {
	least, most, out *vfs.MemFS
	seed             uint64
}

// take decides whether something not fsynced is there.
func (m *mixer) take(name string, block int) bool {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", m.seed, name, block)
	return h.Sum64()>>17&1 == 1
}

func (m *mixer) dir(dir string) {
	names, err := m.most.List("/" + dir)
	check(err)
	old, _ := m.least.List("/" + dir)
	slices.Sort(names)
	fresh := m.take(dir, -1) // whether the names that were not fsynced are there
	for _, name := range names {
		path := strings.TrimPrefix(dir+"/"+name, "/")
		info, err := m.most.Stat(path)
		check(err)
		durable := slices.Contains(old, name)
		switch {
		case !durable && !fresh:
		case info.IsDir():
			check(m.out.MkdirAll(path, 0o755))
			m.dir(path)
		default:
			m.file(path, durable)
		}
	}
	for _, name := range old { // what was removed, but not durably, is there
		if !slices.Contains(names, name) {
			m.file(strings.TrimPrefix(dir+"/"+name, "/"), true)
		}
	}
	d, err := m.out.OpenDir("/" + dir)
	check(err)
	check(d.Sync())
	check(d.Close())
}

// file writes a file with some of its blocks.
func (m *mixer) file(path string, durable bool) {
	const block = 4096
	most, least := slurp(m.most, path), []byte(nil)
	if durable {
		least = slurp(m.least, path)
	}
	b := slices.Clone(least)
	for at := 0; at < len(most); at += block {
		end := min(at+block, len(most))
		if m.take(path, at) {
			if len(b) < end {
				b = append(b, make([]byte, end-len(b))...)
			}
			copy(b[at:end], most[at:end])
		}
	}
	f, err := m.out.Create(path, vfs.WriteCategoryUnspecified)
	check(err)
	_, err = f.Write(b)
	check(err)
	check(f.Sync())
	check(f.Close())
}

// stillFS is a filesystem that can be held still: no mutation runs while mu
// is held.
type stillFS struct {
	vfs.FS
	kind kind
	mu   sync.RWMutex
}

func (s *stillFS) create(name string, on func() (vfs.File, error)) (vfs.File, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f, err := on()
	if err != nil {
		return nil, err
	}
	return &stillFile{f, s, name}, nil
}

func (s *stillFS) run(op func() error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return op()
}

func (s *stillFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.create(name, func() (vfs.File, error) { return s.FS.Create(name, c) })
}

func (s *stillFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.create(name, func() (vfs.File, error) { return s.FS.ReuseForWrite(old, name, c) })
}

func (s *stillFS) OpenDir(name string) (vfs.File, error) {
	return s.create(name, func() (vfs.File, error) { return s.FS.OpenDir(name) })
}

func (s *stillFS) Remove(name string) error { return s.run(func() error { return s.FS.Remove(name) }) }
func (s *stillFS) RemoveAll(name string) error {
	return s.run(func() error { return s.FS.RemoveAll(name) })
}
func (s *stillFS) Link(a, b string) error   { return s.run(func() error { return s.FS.Link(a, b) }) }
func (s *stillFS) Rename(a, b string) error { return s.run(func() error { return s.FS.Rename(a, b) }) }

type stillFile struct {
	vfs.File
	fs   *stillFS
	name string
}

func (f *stillFile) Write(p []byte) (n int, err error) {
	err = f.fs.run(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *stillFile) Sync() error { return f.fs.run(f.sync) }

func (f *stillFile) SyncData() error { return f.fs.run(f.sync) }

func (f *stillFile) sync() error {
	if err := f.File.Sync(); err != nil || f.fs.kind == careless {
		return err
	}
	d, err := f.fs.FS.OpenDir(f.fs.PathDir(f.name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// slurp reads a whole file, or nothing if there is none.
func slurp(fs vfs.FS, path string) []byte {
	f, err := fs.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	check(err)
	return b
}

// check is for errors that a disk in memory does not have.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
