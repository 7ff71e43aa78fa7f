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
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/internal/crashdisk"
)

// waitingDB is a Pebble that always has a compaction waiting.
type waitingDB struct {
	pebble.DBForCompaction
	granted atomic.Int32
}

func (d *waitingDB) Schedule(pebble.CompactionGrantHandle) bool { d.granted.Add(1); return true }

func TestOverwritesAreCompactedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := crashdisk.NewSmall(vfs.NewMem(), 1<<30)
		e := mustOpen(t, "store", smallEngine(d))
		for range 16 {
			(&load{acked: map[string]string{}}).run(e, 12) // 700 kB, always the same keys
		}
		for e.DB.Metrics().Levels[0].Sublevels >= 4 { // then Pebble wants to compact
			<-e.faults.change()
		}
		if n := e.DB.Metrics().Compact.Count; n == 0 {
			t.Fatal("nothing was compacted")
		}
		synctest.Wait()
		if used := d.Used() - e.ballast.bytes; used > 12<<20 {
			t.Fatalf("%d bytes for 700 kB of data", used)
		}
		ok(t, e.Close())
	})
}

// What a store was left with is compacted a moment after it was opened.
func TestAnOpenComesBeforeCompactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &waitingDB{}
		c := newCompactions(newFaults(nil))
		c.rest(openPause)
		c.Register(1, db)
		for range 2 {
			if granted, _ := c.TrySchedule(); granted {
				t.Fatal("one runs beside the open")
			}
		}
		time.Sleep(openPause - time.Nanosecond)
		synctest.Wait()
		if n := db.granted.Load(); n != 0 {
			t.Fatalf("%d were granted too early", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := db.granted.Load(); n != 1 {
			t.Errorf("%d were granted once the pause was over, want 1", n)
		}
		c.Unregister()
	})
}

func TestCompactionsRunOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &waitingDB{}
		c := newCompactions(newFaults(nil))
		c.Register(1, db)
		if granted, _ := c.TrySchedule(); !granted {
			t.Fatal("the first one is denied")
		}
		if granted, _ := c.TrySchedule(); granted {
			t.Fatal("a second one runs beside it")
		}
		c.finished(nil)
		c.Done()
		if n := db.granted.Load(); n != 1 {
			t.Fatalf("%d granted when the first one ended", n)
		}
		c.Unregister()
		c.Done()
		if n := db.granted.Load(); n != 1 {
			t.Fatal("granted after Unregister")
		}
	})
}

// lateDB has a compaction to run just after it was asked and had none.
type lateDB struct {
	pebble.DBForCompaction
	compactions *compactions
	asked       int
}

func (d *lateDB) Schedule(pebble.CompactionGrantHandle) bool {
	d.asked++
	if d.asked == 1 {
		if granted, _ := d.compactions.TrySchedule(); granted {
			panic("granted while another one may run")
		}
		return false
	}
	return true
}

func TestACompactionThatComesWhileAskingIsNotForgotten(t *testing.T) {
	c := newCompactions(newFaults(nil))
	db := &lateDB{compactions: c}
	c.Register(1, db)
	c.Done()
	if db.asked != 2 {
		t.Fatalf("asked %d times: what began to wait meanwhile waits for ever", db.asked)
	}
	c.Unregister()
}

func TestCompactionsWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, f := &waitingDB{}, newFaults(nil)
		c := newCompactions(f)
		c.Register(1, db)
		f.setFull(true)
		if granted, _ := c.TrySchedule(); granted {
			t.Fatal("granted on a full disk")
		}
		f.wake() // something else changed
		synctest.Wait()
		if db.granted.Load() != 0 {
			t.Fatal("granted on a full disk")
		}
		f.setFull(false)
		synctest.Wait()
		if db.granted.Load() != 1 {
			t.Fatal("not granted once there was room")
		}
		f.freeze(errors.New("a fault"))
		c.Done()
		if granted, _ := c.TrySchedule(); granted || db.granted.Load() != 1 {
			t.Fatal("granted on a frozen disk")
		}
		c.Unregister()
	})
}

func TestFailedCompactionsPauseLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &waitingDB{}
		c := newCompactions(newFaults(nil))
		c.Register(1, db)
		granted, _ := c.TrySchedule()
		for n, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			if !granted {
				t.Fatalf("failure %d: it was not granted again", n)
			}
			start, before := time.Now(), db.granted.Load()
			c.finished(syscall.EIO)
			c.Done()
			for db.granted.Load() == before {
				time.Sleep(time.Second / 2)
			}
			if took := time.Since(start).Truncate(time.Second); took != pause*time.Second {
				t.Errorf("failure %d: paused for %v", n, took)
			}
		}
		c.finished(nil)
		c.Done() // and no pause after a success
		if n := db.granted.Load(); n != 10 {
			t.Errorf("%d granted", n)
		}
		c.finished(syscall.EIO)
		c.Done()
		c.Unregister() // ends the pause
	})
}

func TestWritesWaitWhileCompactionIsBehind(t *testing.T) {
	for _, end := range []string{"progress", "fault", "close"} {
		synctest.Test(t, func(t *testing.T) {
			e := mustOpen(t, "store", smallEngine(vfs.NewMem()))
			ok(t, put(e, "before", "1"))
			e.backlog.long.Store(true)
			done := make(chan error, 1)
			go func() { done <- put(e, "waits", "2") }()
			synctest.Wait()
			select {
			case err := <-done:
				t.Fatalf("a write does not wait: %v", err)
			default:
			}
			switch end {
			case "progress":
				ok(t, e.DB.Flush())
				ok(t, <-done)
				ok(t, e.Close())
			case "fault":
				e.faults.freeze(syscall.EIO)
				must(t, <-done, ErrHalted, syscall.EIO)
				must(t, e.Close(), ErrHalted)
			case "close":
				ok(t, e.Close())
				must(t, <-done, ErrClosed)
			}
		})
	}
}

// Pebble's first memtables are small, and it flushes none before they add up
// to half a full one: they are no backlog, or nothing would ever end the wait.
func TestSmallFirstMemTablesAreNoBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mustOpen(t, "store", engineOptions{FS: vfs.NewMem(), MemTableBytes: 32 << 20})
		value := strings.Repeat("v", 100<<10)
		for i := range 100 {
			ok(t, put(e, fmt.Sprint(i), value))
		}
		ok(t, e.Close())
	})
}

func TestManualCompactionRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mustOpen(t, "store", smallEngine(vfs.NewMem()))
		(&load{acked: map[string]string{}}).run(e, 12)
		ok(t, e.DB.Flush())
		ok(t, e.DB.Compact(context.Background(), []byte("0"), []byte("9"), false))
		ok(t, e.Close())
	})
}
