package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func TestFailedFsyncIsNotAcknowledgedNorRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSickDisk()
		e := mustOpen(t, "store", smallEngine(d))
		ok(t, put(e, "before", "1"))
		synctest.Wait() // files that the open made obsolete are gone
		sync := failing(syscall.EIO, ".log", errorfs.OpFileSync, errorfs.OpFileSyncData)
		d.sicken(once(sync))
		must(t, put(e, "failed", "2"), ErrHalted, syscall.EIO)

		var after atomic.Pointer[errorfs.Op]
		d.sicken(func(_ int64, op errorfs.Op) error { after.CompareAndSwap(nil, &op); return nil })
		must(t, put(e, "after", "3"), ErrHalted, syscall.EIO)
		must(t, e.sync(), ErrHalted, syscall.EIO)
		must(t, e.admit(), ErrHalted)
		if v, err := get(e, "before"); v != "1" || err != nil {
			t.Fatalf("reads do not go on: %q, %v", v, err)
		}
		must(t, e.Close(), ErrHalted, syscall.EIO)
		if op := after.Load(); op != nil {
			t.Fatalf("operation %d on %s reached the disk after its fsync had failed", op.Kind, op.Path)
		}

		e = mustOpen(t, "store", smallEngine(d.afterCut()))
		if v, err := get(e, "before"); v != "1" || err != nil {
			t.Fatalf("what was acknowledged before: %q, %v", v, err)
		}
		if _, err := get(e, "failed"); err == nil {
			t.Fatal("the failed fsync did write: the disk of this test is not sick")
		}
		ok(t, e.Close())
	})
}

// A compaction that comes upon damage fails again and again: the damage is
// reported when it halts the store.
func TestDamageInTheBackgroundIsReportedOnce(t *testing.T) {
	var reports []error
	o := smallEngine(newSickDisk())
	o.Report = func(err error) { reports = append(reports, err) }
	e := mustOpen(t, "store", o)
	l := e.listener(newCompactions(e.faults))
	l.BackgroundError(syscall.EIO)
	l.DataCorruption(pebble.DataCorruptionInfo{Path: "table", Details: pebble.ErrCorruption})
	for range 2 {
		l.BackgroundError(fmt.Errorf("compaction: %w", pebble.ErrCorruption))
	}
	if len(reports) != 2 || !errors.Is(reports[0], syscall.EIO) || !errors.Is(reports[1], ErrDamaged) {
		t.Errorf("reported %q, want the error of the disk and the damage once", reports)
	}
	must(t, e.Close(), ErrHalted, ErrDamaged)
}

func TestFaultIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSickDisk()
		var reports atomic.Int32
		o := smallEngine(d)
		o.Report = func(err error) { must(t, err, ErrHalted); reports.Add(1) }
		e := mustOpen(t, "store", o)
		d.sicken(failing(syscall.EIO, "", errorfs.OpFileSyncData, errorfs.OpFileWrite))
		must(t, put(e, "a", "1"), ErrHalted)
		must(t, put(e, "b", "2"), ErrHalted)
		must(t, e.Close(), ErrHalted)
		if n := reports.Load(); n != 1 {
			t.Fatalf("%d reports", n)
		}
	})
}

// TestFrozenDiskKeepsWhatPebbleTakesForObsolete fails the MANIFEST's edit of
// a compaction. Pebble goes on as if it were there, and removes the tables
// that were compacted; the next open needs them.
func TestFrozenDiskKeepsWhatPebbleTakesForObsolete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSickDisk()
		e := mustOpen(t, "store", smallEngine(d))
		l := &load{acked: map[string]string{}}
		l.run(e, 3)
		ok(t, e.DB.Flush())
		l.run(e, 3) // the same keys: once they are flushed too, Pebble compacts
		var edits atomic.Int32
		edit := failing(syscall.EIO, "MANIFEST", errorfs.OpFileWrite)
		d.sicken(func(n int64, op errorfs.Op) error {
			if err := edit(n, op); err != nil && edits.Add(1) > 1 {
				return err // not the flush's, but what comes after
			}
			return nil
		})
		changed := e.faults.change()
		ok(t, e.DB.Flush())
		for e.fault() == nil {
			<-changed
			changed = e.faults.change()
		}
		must(t, e.admit(), ErrHalted, syscall.EIO)
		l.check(t, e, "halted")
		must(t, e.Close(), ErrHalted)
		d.heal() // what was removed is gone from here, and not from after a cut
		e = mustOpen(t, "store", smallEngine(d))
		l.check(t, e, "opened again")
		ok(t, e.Close())
	})
}

// TestBallastSavesTheLog has a disk on which a WAL finds no room until the
// ballast is gone.
func TestBallastSavesTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSickDisk()
		e := mustOpen(t, "store", smallEngine(d))
		var gone atomic.Bool
		noRoom := failing(syscall.ENOSPC, ".log", errorfs.OpFileWrite)
		d.sicken(func(n int64, op errorfs.Op) error {
			if op.Kind == errorfs.OpRemove && strings.HasSuffix(op.Path, ballastFile) {
				gone.Store(true)
			}
			if gone.Load() {
				return nil
			}
			return noRoom(n, op)
		})
		ok(t, put(e, "a", "1"))
		if !gone.Load() {
			t.Fatal("the ballast was not given up")
		}
		ok(t, put(e, "b", "2")) // there is room for it again
		ok(t, e.fault())
		ok(t, e.Close())
	})
}

// givesUpInFlush returns an engine that is not open, whose Pebble will call
// Fatalf in its n-th flush: on a goroutine of its own, with its locks held.
// The first one comes in Open.
func givesUpInFlush(fs vfs.FS, n int) (*engine, *pebble.Options) {
	o := smallEngine(fs)
	e := &engine{faults: newFaults(nil), ballast: &ballast{fs: fs, name: "store/" + ballastFile}}
	e.FS = newGuard(fs, e.faults)
	e.backlog.memTables = maxMemTables * minMemTableBytes
	options := e.pebbleOptions(o, minMemTableBytes, true)
	options.EventListener.FlushBegin = func(pebble.FlushInfo) {
		if n--; n == 0 {
			e.faults.Fatalf("bug number %d", 7)
		}
	}
	return e, options
}

func TestPebbleGivingUpEndsNoProcess(t *testing.T) {
	fs := vfs.NewMem()
	ok(t, mustOpen(t, "store", smallEngine(fs)).Close())

	e, options := givesUpInFlush(fs, 2)
	db, err := e.openDB("store/data", options)
	ok(t, err)
	e.DB = db
	ok(t, put(e, "a", "1"))
	changed := e.faults.change()
	_, err = e.DB.AsyncFlush()
	ok(t, err)
	<-changed
	must(t, put(e, "b", "2"), ErrHalted)
	if v, err := get(e, "a"); v != "1" || err != nil {
		t.Fatalf("reads do not go on: %q, %v", v, err)
	}
	must(t, e.Close(), ErrHalted)
}

func TestPebbleGivingUpEndsOpen(t *testing.T) {
	fs := vfs.NewMem()
	ok(t, mustOpen(t, "store", smallEngine(fs)).Close())
	e, options := givesUpInFlush(fs, 1)
	_, err := e.openDB("store/data", options)
	must(t, err, errStuck)
	must(t, e.fault(), ErrHalted)
}

func TestFatalfReturnsToCallersOnly(t *testing.T) {
	f := newFaults(nil)
	f.Fatalf("fatal commit error: %v", syscall.EIO)
	must(t, f.fatal(), ErrHalted)
	if !strings.Contains(f.fatal().Error(), "fatal commit error") || f.wedged.Load() {
		t.Fatal(f.fatal(), f.wedged.Load())
	}
	// A deep stack does not hide who is at its bottom.
	var deep func(n int) bool
	deep = func(n int) bool {
		if n == 0 {
			return inBackground()
		}
		return deep(n - 1)
	}
	if deep(2000) {
		t.Fatal("a goroutine of a test is taken for one of Pebble's")
	}
	var background atomic.Bool
	opt := &pebble.Options{FS: vfs.NewMem(), Logger: f, EventListener: &pebble.EventListener{
		FlushEnd: func(pebble.FlushInfo) { background.Store(inBackground()) },
	}}
	db, err := pebble.Open("p", opt)
	ok(t, err)
	ok(t, db.Set([]byte("k"), nil, pebble.Sync))
	ok(t, db.Flush())
	ok(t, db.Close())
	if !background.Load() {
		t.Fatal("a flush is not seen to run on Pebble's goroutine")
	}
}

// TestWritesAreRefusedOnceClosed also checks that Close may come twice, and
// leaves no goroutine: the bubble would not end.
func TestWritesAreRefusedOnceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mustOpen(t, "store", smallEngine(vfs.NewMem()))
		ok(t, e.Close())
		must(t, put(e, "a", "1"), ErrClosed)
		must(t, e.sync(), ErrClosed)
		must(t, e.admit(), ErrClosed)
		must(t, e.ingest(context.Background(), nil), ErrClosed)
		ok(t, e.Close())
	})
}
