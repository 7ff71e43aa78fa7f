package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard is the filesystem that Pebble runs on. Pebble v2.1.7 answers an error
// of a WAL, a MANIFEST or a marker file by a panic, some of them with a mutex
// in a state that kills the process, or by Fatalf; and it repeats a failed
// flush at once and for ever. So the guard never lets it see such an error:
//
//   - The first error of an essential file (WAL, MANIFEST, marker, OPTIONS, directory),
//     or one other than ENOSPC of any other file, freezes the disk. From then
//     on writes and fsyncs of essential files do nothing and succeed, those
//     that are made live in memory, as do the tables of flushes, and nothing
//     is removed. So Pebble goes on in memory, reads work, Close ends. The
//     engine looks at the fault before it acknowledges anything, and takes no
//     more writes: what gets to memory is bounded by what was in flight.
//   - ENOSPC gives up the ballast and repeats the call once (vfs.OnDiskFull,
//     below the guard). Where that was not enough, an essential file freezes
//     the disk; a table fails, and the next flush waits for room. While Open
//     or Close waits for that flush, it too freezes the disk: they must end.
type guard struct {
	vfs.FS
	faults  *faults
	witness *witness // may be nil
	shadow  *vfs.MemFS
	stuck   atomic.Bool // a flush found no room even without the ballast
}

// retryFlush is how long a flush waits before it tries a full disk again.
// Admission wakes it earlier once it finds room; this is for a store that
// nobody writes to. A second is short for a person who just freed space.
const retryFlush = time.Second

// flushCategory is Pebble's name for the tables of flushes.
const flushCategory vfs.DiskWriteCategory = "pebble-memtable-flush"

func newGuard(inner vfs.FS, f *faults) *guard {
	return &guard{FS: inner, faults: f, shadow: vfs.NewMem()}
}

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// essential reports whether a file's writes can neither be repeated
// elsewhere nor be given up: the log of Pebble and of its versions. So is the
// OPTIONS file, while it has its first name: pebble.Open writes it late, and
// fails with it while a goroutine reads the tables that Open has flushed, which
// then panics.
func (g *guard) essential(name string) bool {
	base := g.PathBase(name)
	return strings.HasSuffix(base, ".log") || strings.HasSuffix(base, ".dbtmp") ||
		strings.HasPrefix(base, "MANIFEST-") || strings.HasPrefix(base, "marker.")
}

// failed judges an error of a mutation, and reports whether Pebble must not
// see it.
func (g *guard) failed(op, name string, essential bool, err error) (hide bool) {
	if !essential && errors.Is(err, syscall.ENOSPC) && !g.faults.hurry.Load() {
		g.faults.setFull(true)
		g.stuck.Store(true)
		return false
	}
	g.faults.freeze(fmt.Errorf("%s %s: %w", op, name, markFull(err)))
	return essential
}

// awaitRoom holds a flush back after one that found no room: Pebble would try
// again at once, for ever.
func (g *guard) awaitRoom() {
	change := g.faults.change() // taken before the states are looked at
	if !g.stuck.Swap(false) || g.faults.hurry.Load() || g.faults.frozen.Load() || !g.faults.full.Load() {
		return
	}
	t := time.NewTimer(retryFlush)
	defer t.Stop()
	select {
	case <-change:
	case <-t.C:
	}
}

func (g *guard) inShadow(name string) bool {
	if !g.faults.frozen.Load() {
		return false
	}
	_, err := g.shadow.Stat(name)
	return err == nil
}

func (g *guard) createInShadow(name string) (vfs.File, error) {
	if err := g.shadow.MkdirAll(g.PathDir(name), os.ModePerm); err != nil {
		return nil, err
	}
	return g.shadow.Create(name, vfs.WriteCategoryUnspecified)
}

func (g *guard) wrap(f vfs.File, name string, essential bool, w watch) vfs.File {
	return &guardedFile{File: f, guard: g, name: name, essential: essential, watch: w}
}

// Create implements vfs.FS.
func (g *guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.create(name, c, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

// ReuseForWrite implements vfs.FS.
func (g *guard) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if gone := logNumber(g.PathBase(old)); gone > 0 {
		g.witness.beforeLog(gone)
	}
	return g.create(name, c, func() (vfs.File, error) { return g.FS.ReuseForWrite(old, name, c) })
}

// OpenReadWrite implements vfs.FS.
func (g *guard) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return g.create(name, c, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, o...) })
}

func (g *guard) create(name string, c vfs.DiskWriteCategory, on func() (vfs.File, error)) (vfs.File, error) {
	essential, flush := g.essential(name), c == flushCategory
	if flush {
		g.awaitRoom()
	}
	if logNumber(g.PathBase(name)) > 0 {
		g.witness.beforeLog(0)
	}
	if g.faults.frozen.Load() {
		if essential || flush {
			return g.createInShadow(name)
		}
		return nil, g.faults.fatal()
	}
	f, err := on()
	if err == nil {
		return g.wrap(f, name, essential, g.witness.made(g.PathBase(name))), nil
	}
	if g.failed("create", name, essential, err) {
		return g.createInShadow(name)
	}
	return nil, err
}

// Open implements vfs.FS.
func (g *guard) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if g.inShadow(name) {
		return g.shadow.Open(name, o...)
	}
	if err := g.witness.checkLog(name); err != nil {
		return nil, err
	}
	return g.FS.Open(name, o...)
}

// OpenDir implements vfs.FS. An fsync of a directory counts as essential.
func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return g.wrap(f, name, true, g.witness.dir(name)), nil
}

// Stat implements vfs.FS.
func (g *guard) Stat(name string) (vfs.FileInfo, error) {
	if g.inShadow(name) {
		return g.shadow.Stat(name)
	}
	return g.FS.Stat(name)
}

// Remove implements vfs.FS. A frozen disk keeps its files: the next open may
// need what Pebble now takes for obsolete.
func (g *guard) Remove(name string) error {
	if g.inShadow(name) {
		return g.shadow.Remove(name)
	}
	if gone := logNumber(g.PathBase(name)); gone > 0 {
		g.witness.beforeLog(gone)
	}
	if g.faults.frozen.Load() {
		return nil
	}
	return g.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (g *guard) RemoveAll(name string) error {
	return g.unlessFrozen(func() error { return g.FS.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (g *guard) Rename(old, name string) error {
	err := g.unlessFrozen(func() error { return g.FS.Rename(old, name) })
	if err == nil || !g.essential(old) {
		return err
	}
	if !g.faults.frozen.Load() {
		g.failed("rename", old, true, err)
	}
	return nil
}

// Link implements vfs.FS.
func (g *guard) Link(old, name string) error {
	return g.unlessFrozen(func() error { return g.FS.Link(old, name) })
}

// MkdirAll implements vfs.FS.
func (g *guard) MkdirAll(dir string, perm os.FileMode) error {
	return g.unlessFrozen(func() error { return g.FS.MkdirAll(dir, perm) })
}

// unlessFrozen runs a mutation whose error Pebble takes well.
func (g *guard) unlessFrozen(op func() error) error {
	if g.faults.frozen.Load() {
		return g.faults.fatal()
	}
	return op()
}
