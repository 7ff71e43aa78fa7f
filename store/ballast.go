package store

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ballast is a file that holds room back on the disk. When the disk is full
// it is given up, once, so that what Pebble has under way (a WAL, the flush
// of the memtables, the MANIFEST) can end without an error; new writes are
// refused until it is in place again. CockroachDB and Pebble (vfs.OnDiskFull)
// use the same means.
type ballast struct {
	fs    vfs.FS // the disk itself, below OnDiskFull
	name  string
	bytes int64

	mu sync.Mutex // held while the file is made or given up, and full set accordingly
}

const (
	ballastFile = "BALLAST"
	// ballastHeadroom is for what is not a memtable: MANIFEST edits, table
	// indexes and filters, the directory itself.
	ballastHeadroom = 2 << 20
)

// ballastBytes returns the room that suffices for all that Pebble has under
// way: the memtables that admission lets be, as tables, a WAL, and the
// headroom.
func ballastBytes(memTableBytes int64) int64 {
	return maxMemTables*memTableBytes + walBytes(memTableBytes) + ballastHeadroom
}

// walBytes is what Pebble makes a log of ahead of what is written.
func walBytes(memTableBytes int64) int64 { return memTableBytes * 11 / 10 }

// release gives the room back to the disk.
func (b *ballast) release() error {
	if err := b.fs.Remove(b.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", b.name, err)
	}
	return nil
}

// restore takes the room again, or fails if it is not there with some more
// for the writes that come. Call it with mu held, as release.
func (b *ballast) restore() error {
	if err := b.release(); err != nil {
		return err
	}
	dir, want := b.fs.PathDir(b.name), b.bytes+ballastHeadroom
	use, err := b.fs.GetDiskUsage(dir)
	if err == nil && use.AvailBytes < uint64(want) {
		return fmt.Errorf("%s has %s left, the store wants %s to go on", dir, mebibytes(use.AvailBytes), mebibytes(uint64(want)))
	}
	if err := b.fill(); err != nil {
		return errors.Join(fmt.Errorf("fill %s: %w", b.name, err), b.release())
	}
	return nil
}

// mebibytes returns a number of bytes for people to read.
func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// fill makes the file anew. Blocks are reserved, not written, where the
// filesystem can do that: they cost no flash.
func (b *ballast) fill() error {
	f, err := b.fs.Create(b.name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	err = f.Preallocate(0, b.bytes)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		err = b.writeZeros(f)
	}
	return errors.Join(err, f.Close())
}

func (b *ballast) writeZeros(f vfs.File) error {
	zeros := make([]byte, 64<<10)
	for left := b.bytes; left > 0; left -= int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	return nil
}

// markFull marks what the kernel calls no space left as ErrDiskFull.
func markFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrDiskFull) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}
