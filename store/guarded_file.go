package store

import "github.com/cockroachdb/pebble/v2/vfs"

// guardedFile is a file, or an open directory, on the disk below a guard.
// Once the disk is frozen an essential one takes everything and writes
// nothing, and any other one fails.
type guardedFile struct {
	vfs.File
	guard     *guard
	name      string
	essential bool
	watch     watch // may be nil
}

// do runs a mutation under the guard's rule.
func (f *guardedFile) do(op string, mutate func() error) error {
	if f.guard.faults.frozen.Load() {
		return f.whenFrozen()
	}
	err := mutate()
	if err == nil || f.guard.failed(op, f.name, f.essential, err) {
		return nil
	}
	return err
}

func (f *guardedFile) whenFrozen() error {
	if f.essential {
		return nil
	}
	return f.guard.faults.fatal()
}

// Write implements vfs.File.
func (f *guardedFile) Write(p []byte) (n int, err error) {
	err = f.do("write", func() error {
		if f.watch != nil {
			f.watch.wrote(p) // first: under -race a MemFS spoils p
		}
		n, err = f.File.Write(p)
		return err
	})
	if err == nil {
		n = len(p)
	}
	return n, err
}

// WriteAt implements vfs.File.
func (f *guardedFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.do("write", func() error { n, err = f.File.WriteAt(p, at); return err })
	if err == nil {
		n = len(p)
	}
	return n, err
}

// Sync implements vfs.File.
func (f *guardedFile) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *guardedFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *guardedFile) sync(fsync func() error) error {
	return f.do("sync", func() error {
		if f.watch == nil {
			return fsync()
		}
		upTo := f.watch.syncing()
		err := fsync()
		if err == nil {
			f.watch.synced(upTo)
		}
		return err
	})
}

// SyncTo implements vfs.File.
func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	err = f.do("sync", func() error { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Preallocate implements vfs.File. A WAL is grown by it: what is behind its
// last record are zeros then, as old records are in one that Pebble reuses, and
// it reads both as the end. Pebble ignores the error: a write that finds no room
// says so itself.
func (f *guardedFile) Preallocate(offset, length int64) error {
	if f.guard.faults.frozen.Load() {
		return nil
	}
	if logNumber(f.guard.PathBase(f.name)) > 0 && extend(f.Fd(), offset, length) == nil {
		return nil
	}
	return f.File.Preallocate(offset, length) // of a filesystem that cannot
}

// Close implements vfs.File. The file is closed even when frozen.
func (f *guardedFile) Close() error {
	err := f.File.Close()
	if err == nil || f.guard.faults.frozen.Load() || f.guard.failed("close", f.name, f.essential, err) {
		return nil
	}
	return err
}
