package crashdisk

import (
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// stillFS is a filesystem that can be held still: no mutation runs while mu
// is held.
type stillFS struct {
	vfs.FS
	kind Kind
	mu   sync.RWMutex
	lost map[string]bool // files that no fsync brings to the disk; guarded by mu
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

// Create implements vfs.FS.
func (s *stillFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.create(name, func() (vfs.File, error) { return s.FS.Create(name, c) })
}

// ReuseForWrite implements vfs.FS.
func (s *stillFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.create(name, func() (vfs.File, error) { return s.FS.ReuseForWrite(old, name, c) })
}

// OpenDir implements vfs.FS.
func (s *stillFS) OpenDir(name string) (vfs.File, error) {
	return s.create(name, func() (vfs.File, error) { return s.FS.OpenDir(name) })
}

// Remove implements vfs.FS.
func (s *stillFS) Remove(name string) error { return s.run(func() error { return s.FS.Remove(name) }) }

// RemoveAll implements vfs.FS.
func (s *stillFS) RemoveAll(name string) error {
	return s.run(func() error { return s.FS.RemoveAll(name) })
}

// Link implements vfs.FS.
func (s *stillFS) Link(a, b string) error { return s.run(func() error { return s.FS.Link(a, b) }) }

// Rename implements vfs.FS.
func (s *stillFS) Rename(a, b string) error { return s.run(func() error { return s.FS.Rename(a, b) }) }

type stillFile struct {
	vfs.File
	fs   *stillFS
	name string
}

// Write implements vfs.File.
func (f *stillFile) Write(p []byte) (n int, err error) {
	err = f.fs.run(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

// Sync implements vfs.File.
func (f *stillFile) Sync() error { return f.fs.run(f.sync) }

// SyncData implements vfs.File.
func (f *stillFile) SyncData() error { return f.fs.run(f.sync) }

func (f *stillFile) sync() error {
	if f.fs.lost[f.name] {
		return nil
	}
	if err := f.File.Sync(); err != nil || f.fs.kind == Careless {
		return err
	}
	d, err := f.fs.FS.OpenDir(f.fs.PathDir(f.name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
