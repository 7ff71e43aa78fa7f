package crashdisk

import (
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Small is a disk with room for so many bytes. It counts what is written and
// what is preallocated. Safe for concurrent use.
type Small struct {
	vfs.FS

	mu    sync.Mutex
	room  int64
	sizes map[string]int64
}

// NewSmall makes fs, which holds nothing yet, small.
func NewSmall(fs vfs.FS, room int64) *Small {
	return &Small{FS: fs, room: room, sizes: map[string]int64{}}
}

// Count counts a file that fs held before.
func (d *Small) Count(name string, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sizes[name] = bytes
}

// grow makes a file of name at least size bytes long, if there is room.
func (d *Small) grow(name string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	more := size - d.sizes[name]
	if more <= 0 {
		return nil
	}
	if d.usedLocked()+more > d.room {
		return syscall.ENOSPC
	}
	d.sizes[name] = size
	return nil
}

func (d *Small) usedLocked() (n int64) {
	for _, s := range d.sizes {
		n += s
	}
	return n
}

// SetRoom makes the disk larger or smaller.
func (d *Small) SetRoom(room int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

// Used returns how much of the room is taken.
func (d *Small) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.usedLocked()
}

func (d *Small) move(old, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := d.sizes[old]
	delete(d.sizes, old)
	if name != "" {
		d.sizes[name] = size
	}
}

// Create implements vfs.FS.
func (d *Small) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	if err == nil {
		d.move(name, "")
	}
	return &smallFile{File: f, disk: d, name: name}, err
}

// ReuseForWrite implements vfs.FS.
func (d *Small) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	if err == nil {
		d.move(old, name)
	}
	return &smallFile{File: f, disk: d, name: name}, err
}

// Remove implements vfs.FS.
func (d *Small) Remove(name string) error {
	err := d.FS.Remove(name)
	if err == nil {
		d.move(name, "")
	}
	return err
}

// Rename implements vfs.FS.
func (d *Small) Rename(old, name string) error {
	err := d.FS.Rename(old, name)
	if err == nil {
		d.move(old, name)
	}
	return err
}

// GetDiskUsage implements vfs.FS.
func (d *Small) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	used := d.usedLocked()
	return vfs.DiskUsage{TotalBytes: uint64(d.room), UsedBytes: uint64(used), AvailBytes: uint64(max(0, d.room-used))}, nil
}

// Unwrap implements vfs.FS.
func (d *Small) Unwrap() vfs.FS { return d.FS }

type smallFile struct {
	vfs.File
	disk *Small
	name string
	at   int64
}

// Write implements vfs.File.
func (f *smallFile) Write(p []byte) (int, error) {
	if err := f.disk.grow(f.name, f.at+int64(len(p))); err != nil {
		return 0, err
	}
	f.at += int64(len(p))
	return f.File.Write(p)
}

// Preallocate implements vfs.File.
func (f *smallFile) Preallocate(offset, length int64) error {
	return f.disk.grow(f.name, offset+length)
}
