package store

import (
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// smallDisk is a disk in memory with room for so many bytes. It counts what
// is written and what is preallocated.
type smallDisk struct {
	vfs.FS

	mu    sync.Mutex
	room  int64
	sizes map[string]int64
}

func newSmallDisk(room int64) *smallDisk {
	return &smallDisk{FS: vfs.NewMem(), room: room, sizes: map[string]int64{}}
}

// grow makes a file of name at least size bytes long, if there is room.
func (d *smallDisk) grow(name string, size int64) error {
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

func (d *smallDisk) usedLocked() (n int64) {
	for _, s := range d.sizes {
		n += s
	}
	return n
}

// setRoom makes the disk larger or smaller.
func (d *smallDisk) setRoom(room int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

// used returns how much of the room is taken.
func (d *smallDisk) used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.usedLocked()
}

func (d *smallDisk) move(old, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := d.sizes[old]
	delete(d.sizes, old)
	if name != "" {
		d.sizes[name] = size
	}
}

func (d *smallDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	if err == nil {
		d.move(name, "")
	}
	return &smallFile{File: f, disk: d, name: name}, err
}

func (d *smallDisk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	if err == nil {
		d.move(old, name)
	}
	return &smallFile{File: f, disk: d, name: name}, err
}

func (d *smallDisk) Remove(name string) error {
	err := d.FS.Remove(name)
	if err == nil {
		d.move(name, "")
	}
	return err
}

func (d *smallDisk) Rename(old, name string) error {
	err := d.FS.Rename(old, name)
	if err == nil {
		d.move(old, name)
	}
	return err
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	used := d.usedLocked()
	return vfs.DiskUsage{TotalBytes: uint64(d.room), UsedBytes: uint64(used), AvailBytes: uint64(max(0, d.room-used))}, nil
}

func (d *smallDisk) Unwrap() vfs.FS { return d.FS }

type smallFile struct {
	vfs.File
	disk *smallDisk
	name string
	at   int64
}

func (f *smallFile) Write(p []byte) (int, error) {
	if err := f.disk.grow(f.name, f.at+int64(len(p))); err != nil {
		return 0, err
	}
	f.at += int64(len(p))
	return f.File.Write(p)
}

func (f *smallFile) Preallocate(offset, length int64) error {
	return f.disk.grow(f.name, offset+length)
}
