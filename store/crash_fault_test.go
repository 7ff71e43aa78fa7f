package store_test

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/internal/crashdisk"
	"github.com/anabranch-db/anabranch/store"
)

// TestFailingDiskTakesNothingThatWasPromised makes all mutations of the disk
// fail from some moment on, or one fsync, in the middle of a trace. What an
// fsync failed for is lost, whatever later ones say. The store refuses writes,
// but can be read, synced from, and closed; what a power cut would leave then is
// a state between two commits that covers all that was promised.
func TestFailingDiskTakesNothingThatWasPromised(t *testing.T) {
	for _, tc := range []struct {
		name, attr string
		rule       func(w *crashWorld, at int64) crashdisk.Rule
	}{
		{"all from some moment on", "fault.disk-gone", goneFrom},
		{"one fsync", "fault.fsync-error", oneFsync},
	} {
		t.Run(tc.name, func(t *testing.T) {
			faults := 0
			for at := int64(1); ; at++ {
				if !*store.EveryFault {
					at += at / 5
				}
				if !fails(t, at, tc.rule) {
					break // nothing was left to fail
				}
				faults++
			}
			t.Attr(tc.attr, fmt.Sprint(faults))
		})
	}
}

// goneFrom fails all from the at-th operation on.
func goneFrom(w *crashWorld, at int64) crashdisk.Rule {
	from := w.disk.Ops() + at
	return func(n int64, _ errorfs.Op) error {
		if n >= from {
			return syscall.EIO
		}
		return nil
	}
}

// oneFsync fails the at-th fsync, as Linux does it: those after it succeed, and
// bring nothing to the disk.
func oneFsync(w *crashWorld, at int64) crashdisk.Rule {
	return func(_ int64, op errorfs.Op) error {
		if !crashdisk.IsSync(op) {
			return nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if at--; at != 0 {
			return nil
		}
		w.disk.Lose(op.Path)
		return syscall.EIO
	}
}

// fails plays a trace with a fault, and reports whether there was one.
func fails(t *testing.T, at int64, rule func(*crashWorld, int64) crashdisk.Rule) bool {
	w := newCrashWorld(t, *crashSeed)
	w.sick.Store(true)
	w.disk.Follow(rule(w, at))
	sick := w.stepUntilSick(*crashSteps)
	w.readable()
	w.syncsOut()
	w.mu.Lock()
	p := w.acked.clone()
	w.mu.Unlock()
	err := w.store.Close()
	if err == nil && !sick {
		return false
	}
	if !errors.Is(err, store.ErrHalted) {
		t.Fatalf("with fault %d Close says %v", at, err)
	}
	w.disk.Follow(nil)
	for _, percent := range w.kind.Leaves() {
		w.verifyCut(powerCut{percent, uint64(at), w.disk.Cut(percent, uint64(at)), p})
	}
	return true
}

// stepUntilSick takes steps until one fails, and reports whether one did.
func (w *crashWorld) stepUntilSick(steps int) (sick bool) {
	defer func() {
		if p := recover(); p == errSick {
			sick = true
		} else if p != nil {
			panic(p)
		}
	}()
	for range steps {
		w.step()
	}
	return false
}

// readable checks that reads go on: a namespace shows its last state.
func (w *crashWorld) readable() {
	w.t.Helper()
	for name, incarnation := range w.acked.catalog {
		ns, err := w.store.Namespace(name)
		if err == nil {
			err = w.lines[incarnation].head().differs(ns)
		}
		if err != nil {
			w.t.Fatalf("%q cannot be read: %v", name, err)
		}
	}
}

// syncsOut checks that a peer can be given what there is.
func (w *crashWorld) syncsOut() {
	w.t.Helper()
	for name, incarnation := range w.acked.catalog {
		ns, err := w.store.Namespace(name)
		w.ok(err)
		to := create(w.t, w.openWith(w.options(3, vfs.NewMem())))
		if _, err = w.exchange(to, ns, func() {}); err == nil {
			err = w.lines[incarnation].head().differs(to)
		}
		if err != nil {
			w.t.Fatalf("%q cannot be synced from: %v", name, err)
		}
	}
}

// TestAFullDiskTakesNothingThatWasPromised has a disk that fills up in the middle
// of a trace, and has room again later, several times. Steps are refused with
// ErrDiskFull meanwhile, reads and peers go on; then all goes on, and converges.
func TestAFullDiskTakesNothingThatWasPromised(t *testing.T) {
	full := 0
	for seed := *crashSeed; seed < *crashSeed+*crashRuns; seed++ {
		w := newCrashWorld(t, seed)
		w.ok(w.store.Close())
		w.sick.Store(true)
		w.full = true
		small := crashdisk.NewSmall(w.disk, 0)
		names, err := w.disk.List("db/data")
		w.ok(err)
		for _, name := range slices.Concat(names, []string{"../BALLAST"}) {
			if info, err := w.disk.Stat("db/data/" + name); err == nil {
				small.Count("db/data/"+name, info.Size())
			}
		}
		small.SetRoom(1 << 40)
		w.openOn(small)
		for i := range 5 {
			// less room each time, so that the shortest trace fills the disk
			small.SetRoom(small.Used() + w.rng.Int64N(100<<10>>(2*i)))
			for range *crashSteps / 5 {
				if w.stepUntilSick(1) {
					full++
				}
				w.readable()
			}
			w.syncsOut()
			small.SetRoom(1 << 40)
			if err := w.store.Health(); err != nil {
				t.Fatalf("seed %d: with room again: %v", seed, err)
			}
			ns, err := w.store.Namespace(crashNames[0])
			w.ok(err)
			w.sick.Store(false)
			w.commit(ns, false)
			w.sick.Store(true)
		}
		w.sick.Store(false)
		w.full = false
		w.converge()
		w.reopen()
		w.converge()
		w.ok(w.store.Close())
	}
	if full == 0 {
		t.Error("the disk was never full")
	}
	t.Attr("fault.disk-full", fmt.Sprint(full))
}
