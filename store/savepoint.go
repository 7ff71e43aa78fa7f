package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Savepoint makes dir, which must not be there (fs.ErrExist), a store that holds
// all that this one holds now, durable or not, while it goes on: every namespace
// at one moment, a transaction whole or not at all. Tables are linked where dir is
// on the same filesystem, and so it takes a few milliseconds and no room, until
// compactions replace what is shared. Nothing is copied of files beside the
// store, such as keys; the node-local values Options.Forget are gone when it is
// opened. Whoever opens it writes as a new writer, so it is one more branch.
//
// It is there whole or not at all: what a crash leaves is a directory beside it
// with ".part-" in its name. It fails with the filesystem's error, ErrClosed, or
// ErrHalted.
func (s *Store) Savepoint(dir string) error {
	if err := s.use(); err != nil {
		return err
	}
	defer s.users.Done()
	if err := s.engine.savepoint(dir); err != nil {
		return fmt.Errorf("make the checkpoint %s: %w", dir, err)
	}
	return nil
}

func (e *engine) savepoint(dir string) (err error) {
	if err := e.health(); errors.Is(err, ErrHalted) {
		return err
	}
	e.aside.making.Lock() // one at a time
	defer e.aside.making.Unlock()
	disk := e.aside.disk
	if disk == vfs.Default {
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
	}
	own := disk.PathDir(e.witness.name)
	for up := dir; disk.PathDir(up) != up; up = disk.PathDir(up) {
		if up == own {
			return fmt.Errorf("it would be inside of the store, %s", own)
		}
	}
	if _, err := disk.Stat(dir); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part := dir + ".part-" + rand.Text()
	defer func() {
		if err != nil {
			err = errors.Join(markFull(err), disk.RemoveAll(part))
		}
	}()
	// Here, and not by Pebble: that would fsync the directory around it as one of
	// its own, a failure of which stops it.
	if err := makeDir(disk, part); err != nil {
		return err
	}
	if err := e.checkpointInto(part); err != nil {
		return err
	}
	for _, write := range []func() error{ // in whatever order they reach the disk
		func() error { return writeDurably(disk, disk.PathJoin(part, witnessFile), newWitness()) },
		func() error {
			return writeDurably(disk, disk.PathJoin(part, formatFile), encodeFormat(formatCurrent, stateSavepoint))
		},
		func() error { return syncDir(disk, part) },
		func() error { return disk.Rename(part, dir) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	if err := syncDir(disk, disk.PathDir(dir)); err != nil {
		return errors.Join(err, disk.Rename(dir, part)) // to go, as who called expects
	}
	return nil
}

// checkpointInto has Pebble make its checkpoint. A disk that froze meanwhile took
// nothing, and said nothing.
func (e *engine) checkpointInto(dir string) error {
	e.aside.enter(dir)
	defer e.aside.enter("")
	data := e.FS.PathJoin(dir, dataDir)
	err := e.faults.unlessStuck(func() error { return e.DB.Checkpoint(data, pebble.WithFlushedWAL()) })
	return errors.Join(err, e.faults.fatal())
}

// forget removes what a savepoint that is opened for the first time must not
// bring along, durably.
func (s *Store) forget() error {
	return s.commit(s.engine.apply, func(b *pebble.Batch) (err error) {
		for _, key := range s.options.Forget {
			err = errors.Join(err, b.Delete(localKey(key), nil))
		}
		return err
	})
}

// aside is the filesystem that Pebble is given: the guard, but for the directory
// that a checkpoint is made in. What fails there is its caller's to hear of, and
// no reason to stop; and a MANIFEST there is none that the witness vouches for.
type aside struct {
	vfs.FS          // the guard
	disk   vfs.FS   // without it
	logs   *witness // knows how far they were written

	making sync.Mutex
	mu     sync.RWMutex
	dir    string // "": none
}

// Unwrap implements vfs.FS.
func (a *aside) Unwrap() vfs.FS { return a.FS }

func (a *aside) enter(dir string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dir = dir
}

// Open implements vfs.FS. Of a WAL that is to be copied it shows what is durable:
// all that was written before the checkpoint began is, and behind it are megabytes
// that it was grown by.
func (a *aside) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := a.of(name).Open(name, o...)
	a.mu.RLock()
	defer a.mu.RUnlock()
	if n := logNumber(a.PathBase(name)); err == nil && n > 0 && a.dir != "" {
		return &head{f, a.logs.durable(n)}, nil
	}
	return f, err
}

// head is the first bytes of a file, for who reads it from front to end.
type head struct {
	vfs.File
	left uint64
}

// Read implements vfs.File.
func (h *head) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, io.EOF
	}
	n, err := h.File.Read(p[:min(uint64(len(p)), h.left)])
	h.left -= uint64(n)
	return n, err
}

// of returns the filesystem for a file or directory.
func (a *aside) of(name string) vfs.FS {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.dir != "" && (name == a.dir || a.PathDir(name) == a.dir || a.PathDir(a.PathDir(name)) == a.dir) {
		return a.disk
	}
	return a.FS
}

// Create implements vfs.FS.
func (a *aside) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return a.of(name).Create(name, c)
}

// Link implements vfs.FS.
func (a *aside) Link(old, name string) error { return a.of(name).Link(old, name) }

// MkdirAll implements vfs.FS.
func (a *aside) MkdirAll(dir string, perm os.FileMode) error { return a.of(dir).MkdirAll(dir, perm) }

// OpenDir implements vfs.FS.
func (a *aside) OpenDir(name string) (vfs.File, error) { return a.of(name).OpenDir(name) }

// Remove implements vfs.FS.
func (a *aside) Remove(name string) error { return a.of(name).Remove(name) }

// RemoveAll implements vfs.FS.
func (a *aside) RemoveAll(name string) error { return a.of(name).RemoveAll(name) }

// Rename implements vfs.FS.
func (a *aside) Rename(old, name string) error { return a.of(name).Rename(old, name) }

// List implements vfs.FS.
func (a *aside) List(dir string) ([]string, error) { return a.of(dir).List(dir) }

// Stat implements vfs.FS.
func (a *aside) Stat(name string) (vfs.FileInfo, error) { return a.of(name).Stat(name) }
