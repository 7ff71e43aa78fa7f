package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/internal/crashdisk"
)

// fill writes what cannot be compressed until a write is refused, and returns
// the error.
func fill(l *load, e *engine) error {
	rng := rand.NewChaCha8([32]byte{})
	for i := 0; ; i++ {
		key := fmt.Sprintf("fill/%06d", i)
		noise := make([]byte, 30_000)
		rng.Read(noise)
		value := string(noise)
		if err := put(e, key, value); err != nil {
			return err
		}
		l.acked[key] = value
	}
}

// survivesFull fills a disk: the writer gets an error that says so, reads go
// on, and so does writing once there is room.
func survivesFull(t *testing.T, dir string, o engineOptions, makeRoom func()) {
	l := &load{acked: map[string]string{}}
	e := mustOpen(t, dir, o)
	must(t, fill(l, e), ErrDiskFull)
	if err := e.fault(); err != nil {
		t.Fatalf("a full disk halted the store, though there was the ballast: %v", err)
	}
	must(t, e.admit(), ErrDiskFull)
	ok(t, e.sync()) // what was buffered can still be made durable
	l.check(t, e, "full")

	makeRoom()
	ok(t, put(e, "again", "1"))
	l.acked["again"] = "1"
	l.run(e, 4)
	l.check(t, e, "room again")
	ok(t, e.Close())
	e = mustOpen(t, dir, o)
	l.check(t, e, "opened again")
	ok(t, put(e, "and again", "2"))
	ok(t, e.Close())
}

func TestFullDiskRefusesWritesUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := crashdisk.NewSmall(vfs.NewMem(), 7<<20)
		survivesFull(t, "store", smallEngine(d), func() { d.SetRoom(64 << 20) })
	})
}

// TestFullDiskIsNotWrittenTo checks that what fits at the end is what the
// ballast held back, and that a refused write takes nothing.
func TestFullDiskIsNotWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := crashdisk.NewSmall(vfs.NewMem(), 8<<20)
		e := mustOpen(t, "store", smallEngine(d))
		l := &load{acked: map[string]string{}}
		must(t, fill(l, e), ErrDiskFull)
		synctest.Wait()
		used := d.Used()
		for range 100 {
			must(t, put(e, "refused", strings.Repeat("x", 50_000)), ErrDiskFull)
		}
		synctest.Wait()
		if now := d.Used(); now > used {
			t.Fatalf("refused writes took %d bytes", now-used)
		}
		if d.Used() >= 8<<20 {
			t.Fatalf("%d of %d bytes are used: nothing is left of the ballast's room", d.Used(), 8<<20)
		}
		ok(t, e.Close())
	})
}

func TestFullDiskOpensForReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := crashdisk.NewSmall(vfs.NewMem(), 8<<20)
		e := mustOpen(t, "store", smallEngine(d))
		l := &load{acked: map[string]string{}}
		must(t, fill(l, e), ErrDiskFull)
		ok(t, e.Close())
		// Open flushes what the WAL holds, at most a memtable of 1 MiB, which
		// takes that room; writes want the ballast back on top of it.
		d.SetRoom(d.Used() + 1200<<10)
		e = mustOpen(t, "store", smallEngine(d))
		l.check(t, e, "opened full")
		must(t, put(e, "a", "1"), ErrDiskFull)
		d.SetRoom(64 << 20)
		ok(t, put(e, "a", "1"))
		ok(t, e.Close())
	})
}

func TestOpenOnADiskWithoutRoomSaysSo(t *testing.T) {
	for room := int64(0); room < 20<<10; room += 100 {
		d := crashdisk.NewSmall(vfs.NewMem(), room)
		e, err := openEngine("store", smallEngine(d))
		if err == nil { // for reading
			must(t, put(e, "a", "1"), ErrDiskFull)
			if err := e.Close(); err != nil { // the end of the WAL found no room
				must(t, err, ErrDiskFull)
			}
		} else {
			must(t, err, ErrDiskFull, syscall.ENOSPC)
		}
		d.SetRoom(64 << 20)
		e = mustOpen(t, "store", smallEngine(d))
		ok(t, put(e, "a", "1"))
		ok(t, e.Close())
	}
}

// TestOpenEndsWhereItsFlushFindsNoRoom has a WAL whose replay makes a table
// that does not fit, not even without the ballast.
func TestOpenEndsWhereItsFlushFindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSickDisk()
		e := mustOpen(t, "store", smallEngine(d))
		ok(t, put(e, "a", "1"))
		ok(t, e.Close())
		d.sicken(failing(syscall.ENOSPC, ".sst", errorfs.OpCreate, errorfs.OpFileWrite))
		_, err := openEngine("store", smallEngine(d))
		must(t, err, ErrDiskFull)
		d.heal()
		e = mustOpen(t, "store", smallEngine(d))
		if v, err := get(e, "a"); v != "1" || err != nil {
			t.Fatalf("%q, %v", v, err)
		}
		ok(t, e.Close())
	})
}
