package store

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// An Open that replays a log flushes it to a table, has a goroutine read that,
// and writes the OPTIONS file last. Pebble fails with that file, and its
// goroutine panics then: whole nodes met it in seed 30.
func TestOpenAfterALostRunSurvivesAFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newSickDisk()
		e, err := openEngine("db", smallEngine(disk.FS))
		ok(t, err)
		ok(t, put(e, "key", "value"))
		b := e.DB.NewBatch()
		ok(t, b.DeleteRange([]byte("l"), []byte("m"), nil)) // or the table need not be read
		ok(t, e.apply(b, true))
		ok(t, e.wait(b))
		killed := disk.cut(0).(*vfs.MemFS)
		ok(t, e.Close())
		every := func(errorfs.Op) bool { return true }
		ofOptions := func(op errorfs.Op) bool {
			return strings.Contains(op.Path, ".dbtmp") || strings.Contains(op.Path, "OPTIONS-")
		}
		openFailing(t, killed, every)
		if failed := openFailing(t, killed, ofOptions); failed < 4 { // made, written, synced, renamed
			t.Errorf("%d operations on the OPTIONS file failed", failed)
		}
	})
}

// openFailing opens a copy of the disk for each of the operations that count,
// which fails, and reports how many of these opens failed for it.
func openFailing(t *testing.T, killed *vfs.MemFS, counts func(errorfs.Op) bool) (failed int) {
	t.Helper()
	for n := int64(1); ; n++ {
		disk := sickDiskOf(killed.CrashClone(vfs.CrashCloneCfg{}))
		var at atomic.Int64
		disk.sicken(func(_ int64, op errorfs.Op) error {
			if !counts(op) || at.Add(1) != n {
				return nil
			}
			return syscall.EIO
		})
		e, err := openEngine("db", smallEngine(disk.FS))
		synctest.Wait() // for what Pebble left behind
		if err == nil {
			_ = e.Close() // it may have met the fault
		} else {
			must(t, err, syscall.EIO)
			failed++
		}
		disk.heal()
		e, err = openEngine("db", smallEngine(disk.FS))
		ok(t, err)
		if v, err := get(e, "key"); err != nil || v != "value" {
			t.Fatalf("after operation %d failed: %q, %v", n, v, err)
		}
		ok(t, e.Close())
		if at.Load() < n {
			return failed
		}
	}
}
