package store

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var everyFault = flag.Bool("every-fault", false, "in the fault sweeps, fail every operation in place of a sample")

// EveryFault is for the sweeps of whole stores.
var EveryFault = everyFault

// TestAnyFailingOperationIsSurvived fails each mutation of the disk in turn,
// once or from then on, while writers, flushes, compactions and ingestions
// run. Whatever fails: nothing panics or hangs, reads go on, nothing is
// acknowledged that a power cut would take, Close ends every goroutine (the
// bubble checks that), and the store opens again once the disk is well.
func TestAnyFailingOperationIsSurvived(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		once bool
	}{
		{"EIO once", syscall.EIO, true},
		{"EIO for ever", syscall.EIO, false},
		{"ENOSPC once", syscall.ENOSPC, true},
		{"ENOSPC for ever", syscall.ENOSPC, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step := int64(7) // a prime, so that the kinds of operations all come up
			switch {
			case *everyFault:
				step = 1
			case testing.Short():
				step = 31
			}
			end := int64(1 << 30)
			for at := int64(1); at <= end; at += step {
				synctest.Test(t, func(t *testing.T) {
					d := newSickDisk()
					d.sicken(func(n int64, _ errorfs.Op) error {
						if n == at || (n > at && !tc.once) {
							return fmt.Errorf("operation %d: %w", n, tc.err)
						}
						return nil
					})
					refused := sweepOnce(t, d, fmt.Sprintf("operation %d", at))
					// An fsync is never repeated, whatever it found.
					if refused != nil && tc.once && tc.err == syscall.ENOSPC && !strings.Contains(refused.Error(), "sync ") {
						t.Fatalf("operation %d: a full disk that had room again refuses writes: %v", at, refused)
					}
					if n := d.Ops(); n < at { // nothing was left to fail
						end = 0
					}
				})
			}
		})
	}
}

// sweepOnce returns the error of the last write before Close, if it came to
// that.
func sweepOnce(t *testing.T, d *sickDisk, when string) (refused error) {
	l := &load{acked: map[string]string{}}
	e, err := openEngine("store", smallEngine(d))
	if err == nil {
		l.run(e, 14)
		if put(e, "a", "1") == nil {
			l.acked["a"] = "1"
		}
		if ingestOne(e, "i", "2") == nil {
			l.acked["i"] = "2"
		}
		l.run(e, 14)
		if e.sync() == nil {
			l.check(t, e, when+", running")
		}
		l.check(t, e, when+", running")
		refused = put(e, "z", "3")
		if refused != nil && !errors.Is(refused, ErrHalted) && !errors.Is(refused, ErrDiskFull) {
			t.Fatalf("%s: a write is refused with %v", when, refused)
		}
		if fault := e.fault(); fault != nil && refused == nil {
			t.Fatalf("%s: a write went on after %v", when, fault)
		}
		_ = e.Close()
	} else if strings.Contains(err.Error(), "damaged") {
		t.Fatalf("%s: a failing disk is not damage: %v", when, err)
	}
	d.heal()
	for _, fs := range []struct {
		name string
		o    engineOptions
	}{{"after a power cut", smallEngine(d.afterCut())}, {"opened again", smallEngine(d)}} {
		e, err := openEngine("store", fs.o)
		if err != nil {
			t.Fatalf("%s, %s: %v", when, fs.name, err)
		}
		l.check(t, e, when+", "+fs.name)
		ok(t, put(e, "again", "4"))
		ok(t, e.Close())
	}
	return refused
}
