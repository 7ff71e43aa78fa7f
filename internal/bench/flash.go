package bench

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/usage"
	"github.com/anabranch-db/anabranch/replica"
)

// flashValueBytes is what the rows of flash write at a time.
const flashValueBytes = 1 << 10

// flashRows are of what is written to the disk for what is written by the
// embedder.
func flashRows() []Row {
	return []Row{{
		Name: "flash/written", Work: "bytes written to files for a durable write of 1 KiB",
		Raw: "its payload", Unit: "B", Goal: Goal{AtMost: 4},
		Prepare: func(l *Lab) (Repetition, error) { return func() (Pair, error) { return flashWritten(l) }, nil },
	}, {
		Name: "flash/device", Work: "bytes in whole pages handed to the disk for it",
		Raw: "a Pebble batch of 2 puts, synced", Unit: "B", Goal: Goal{AtMost: 1.1},
		Prepare: func(l *Lab) (Repetition, error) { return func() (Pair, error) { return flashDevice(l) }, nil },
	}}
}

// flashWrites is how many writes are counted: some memtables of them.
func flashWrites(l *Lab) int { return min(l.Keys, 20_000) }

// flashWritten counts what is written through the filesystem.
func flashWritten(l *Lab) (Pair, error) {
	files := &countingFS{FS: vfs.Default}
	err := writeOurs(l, files)
	return Pair{Ours: float64(files.written.Load()) / float64(flashWrites(l)), Raw: keyBytes + flashValueBytes}, err
}

// flashDevice counts what the kernel is told to write.
func flashDevice(l *Lab) (p Pair, err error) {
	n := float64(flashWrites(l))
	before, err := usage.Written()
	if err != nil {
		return p, err
	}
	if err := writeOurs(l, vfs.Default); err != nil {
		return p, err
	}
	between, err := usage.Written()
	if err != nil {
		return p, err
	}
	if err := writeRaw(l); err != nil {
		return p, err
	}
	after, err := usage.Written()
	return Pair{Ours: float64(between-before) / n, Raw: float64(after-between) / n}, err
}

// writeOurs writes registers, durably, one a transaction.
func writeOurs(l *Lab, files vfs.FS) error {
	dir, err := l.Dir()
	if err != nil {
		return err
	}
	value := newValues()
	return withNamespace(dir, replica.Options{FS: files}, func(ns *replica.Namespace) error {
		for i := range flashWrites(l) {
			r := crdt.NewRegister[[]byte](fmt.Sprintf("%016d", i*61_803%flashWrites(l)))
			b := value.more(flashValueBytes)
			if err := ns.Update(l.Context, func(tx *replica.Tx) error { return r.Set(tx, b) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeRaw writes the same to Pebble.
func writeRaw(l *Lab) error {
	db, err := openRaw(l)
	if err != nil {
		return err
	}
	value := newValues()
	for i := range flashWrites(l) {
		b := db.NewBatch()
		key := fmt.Appendf(nil, "%016d", i*61_803%flashWrites(l))
		err := errors.Join(
			b.Set(append([]byte("r"), key...), value.more(flashValueBytes+20), nil),
			b.Set(fmt.Appendf(nil, "l%016d", i), key, nil), b.Commit(pebble.Sync), b.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

// countingFS counts what is written to files.
type countingFS struct {
	vfs.FS
	written atomic.Int64
}

func (c *countingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, category)
	return c.counted(f), err
}

func (c *countingFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(old, name, category)
	return c.counted(f), err
}

func (c *countingFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := c.FS.OpenReadWrite(name, category, o...)
	return c.counted(f), err
}

func (c *countingFS) counted(f vfs.File) vfs.File {
	if f == nil {
		return nil
	}
	return &countingFile{f, &c.written}
}

type countingFile struct {
	vfs.File
	written *atomic.Int64
}

func (f *countingFile) Write(p []byte) (int, error) {
	f.written.Add(int64(len(p)))
	return f.File.Write(p)
}

func (f *countingFile) WriteAt(p []byte, at int64) (int, error) {
	f.written.Add(int64(len(p)))
	return f.File.WriteAt(p, at)
}
