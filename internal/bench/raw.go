package bench

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The sizes that all rows use, those of the figures that peers are known by.
const (
	keyBytes   = 16
	valueBytes = 100
)

// openRaw opens a bare Pebble in a folder of its own, with the cache and
// memtable that a database of ours has by default.
func openRaw(l *Lab) (*pebble.DB, error) { return openRawOn(l, vfs.Default) }

// openRawMemory opens one on a disk in memory.
func openRawMemory(l *Lab) (*pebble.DB, error) { return openRawOn(l, vfs.NewMem()) }

func openRawOn(l *Lab, fs vfs.FS) (*pebble.DB, error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	db, err := pebble.Open(dir, rawOptions(fs))
	if err == nil {
		l.Cleanup(db.Close)
	}
	return db, err
}

// openRawIn opens it in dir on the disk, and leaves it to the caller to close
// it.
func openRawIn(dir string) (*pebble.DB, error) { return pebble.Open(dir, rawOptions(vfs.Default)) }

// rawOptions are those of a bare Pebble.
func rawOptions(fs vfs.FS) *pebble.Options {
	return &pebble.Options{
		FS: fs, CacheSize: 16 << 20, MemTableSize: 4 << 20, FormatMajorVersion: pebble.FormatValueSeparation,
		Logger: quiet{},
	}
}

// quiet is a logger for nobody.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
