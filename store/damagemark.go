package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The DAMAGED file says that damage was found while the store was open, in the
// words of the error that told of it: its first line is frozen.
//
//	anabranch damaged
//	<what was found>
//
// Damage that only a read comes upon would go unseen at the next Open, and the
// store would be served again. So Open refuses where the file is. It goes with
// what a Repair puts aside, or when a Repair finds nothing wrong.
const (
	damagedFile   = "DAMAGED"
	damagedPrefix = "anabranch damaged\n"
	// maxDamagedBytes bounds what is written and read of an error.
	maxDamagedBytes = 4 << 10
)

// damaged halts the store if err says that it is damaged, since no vector can
// be trusted then.
func (e *engine) damaged(err error) {
	if errors.Is(err, ErrDamaged) && e.faults.fatal() == nil {
		e.faults.halt(err)
	}
}

// markDamaged writes the DAMAGED file, beside all others: what is written
// there was found by reading, so the disk takes writes.
func markDamaged(fsys vfs.FS, dir string, err error) error {
	text := strings.ToValidUTF8(err.Error(), "?")
	b := append([]byte(damagedPrefix), text[:min(len(text), maxDamagedBytes)]...)
	name := fsys.PathJoin(dir, damagedFile)
	if err := writeDurably(fsys, name, b); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(fsys, dir)
}

// checkMark returns an error that wraps ErrDamaged if the file is there.
func checkMark(fsys vfs.FS, dir string) error {
	name := fsys.PathJoin(dir, damagedFile)
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDamagedBytes+int64(len(damagedPrefix))))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	found := strings.TrimPrefix(string(b), damagedPrefix) // whatever it says, that it is there counts
	for _, said := range []error{ErrHalted, ErrDamaged} {
		found = strings.TrimPrefix(found, said.Error()+": ")
	}
	return fmt.Errorf("%w: an earlier run found: %s", ErrDamaged, found)
}

// unmark removes the file, durably, if it is there.
func unmark(fsys vfs.FS, dir string) error {
	name := fsys.PathJoin(dir, damagedFile)
	if err := fsys.Remove(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return syncDir(fsys, dir)
}
