package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/internal/crashdisk"
)

// unwitnessed makes a store what it was at formatFirst.
func unwitnessed(t *testing.T, fs vfs.FS, state string) {
	t.Helper()
	ok(t, fs.Remove("store/"+witnessFile))
	writeFile(t, fs, "store/"+formatFile, encodeFormat(formatFirst, state))
}

// sickCopy returns a disk of its own on which all of mem is durable.
func sickCopy(t *testing.T, mem *vfs.MemFS) *sickDisk {
	t.Helper()
	d := newSickDisk()
	ok(t, d.mem.MkdirAll("store", 0o755))
	_, err := vfs.Clone(mem, d.mem, "store", "store", vfs.CloneSync)
	ok(t, err)
	for _, dir := range []string{"store/data", "store", "/"} {
		ok(t, syncDir(d.mem, dir))
	}
	return d
}

// TestAStoreBeforeTheWitnessIsTaken cuts the power at each mutation of the
// first open by this release, of a store that was closed and of one that was
// not.
func TestAStoreBeforeTheWitnessIsTaken(t *testing.T) {
	closed, heldClosed := damagedStore(t)
	killed, heldKilled := killedStore(t)
	unwitnessed(t, closed, stateReady)
	unwitnessed(t, killed, stateReady)
	cuts := 0
	for at, more := int64(1), true; more; at++ {
		for _, keep := range []int{0, 100} {
			more = takenDespiteCut(t, sickCopy(t, closed), heldClosed, at, keep)
			more = takenDespiteCut(t, sickCopy(t, killed), heldKilled, at, keep) || more
			cuts++
		}
	}
	t.Log(cuts, "cuts of each")
}

// takenDespiteCut opens a store before the witness, and what a power cut at
// one of the mutations leaves. It returns false if there are not so many.
func takenDespiteCut(t *testing.T, d *sickDisk, held map[string]string, at int64, keep int) bool {
	t.Helper()
	var left vfs.FS
	var mu sync.Mutex
	d.sicken(func(n int64, _ errorfs.Op) error {
		if n == at {
			mu.Lock()
			defer mu.Unlock()
			left = d.cut(keep)
		}
		return nil
	})
	if got := outcome(t, d, held); got != allThere {
		t.Fatal(got)
	}
	if version, state, err := readLayout(d, "store"); version != formatWitness || state != stateReady || err != nil {
		t.Fatal(version, state, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if left == nil {
		return false
	}
	for range 2 { // the second time with what the first one wrote
		if got := outcome(t, left, held); got != allThere {
			t.Fatalf("after a cut at mutation %d: %s", at, got)
		}
	}
	return true
}

// TestAStoreBeforeTheWitnessOpensOnAFullDisk has only the ballast's room.
func TestAStoreBeforeTheWitnessOpensOnAFullDisk(t *testing.T) {
	d := crashdisk.NewSmall(vfs.NewMem(), 64<<20)
	e := mustOpen(t, "store", smallEngine(d))
	ok(t, put(e, "k", "v"))
	ok(t, e.Close())
	unwitnessed(t, d, stateReady)
	d.SetRoom(d.Used())
	e = mustOpen(t, "store", smallEngine(d))
	if v, err := get(e, "k"); v != "v" || err != nil {
		t.Fatalf("%q, %v", v, err)
	}
	must(t, put(e, "k", "w"), ErrDiskFull)
	ok(t, e.Close())
}

// TestAnOpenThatFailsLeavesNoDamage fails all mutations from some moment of an
// open on. What it leaves, also after a power cut, opens.
func TestAnOpenThatFailsLeavesNoDamage(t *testing.T) {
	killed, held := killedStore(t)
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for at, more := int64(1), true; more; at++ {
			d := sickCopy(t, killed)
			d.sicken(func(n int64, op errorfs.Op) error {
				if n >= at {
					return fmt.Errorf("%s: %w", op.Path, cause)
				}
				return nil
			})
			e, err := openEngine("store", smallEngine(d))
			if err == nil {
				_ = e.Close()
			}
			more = d.Ops() >= at
			d.heal()
			for _, fs := range []vfs.FS{d.cut(0), d.cut(100), d} {
				if got := outcome(t, fs, held); got != allThere {
					t.Fatalf("%v from mutation %d on: %s", cause, at, got)
				}
			}
		}
	}
}

// torn returns what a write of the WITNESS file may leave if it is cut off.
func torn(was, is []byte) (left [][]byte) {
	for _, n := range []int{1, 25, 60, 80, 100, 512} { // within and after each line
		for slot := 0; slot < len(was); slot += witnessSlotBytes {
			first, last := slices.Clone(was), slices.Clone(is)
			copy(first[slot:], is[slot:slot+n])
			copy(last[slot:], was[slot:slot+n])
			left = append(left, first, last)
		}
	}
	return left
}

// TestATornWriteOfTheWitnessIsSurvived cuts the power in each write of it,
// while flushes, new WALs, reopenings and Close make them.
func TestATornWriteOfTheWitnessIsSurvived(t *testing.T) {
	var mu sync.Mutex
	held, cuts := map[string]string{}, 0
	d := newSickDisk()
	e := mustOpen(t, "store", smallEngine(d))
	d.sicken(func(_ int64, op errorfs.Op) error {
		if op.Kind != errorfs.OpFileSyncData || !strings.HasSuffix(op.Path, witnessFile) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		acked := maps.Clone(held)
		least := d.mem.CrashClone(vfs.CrashCloneCfg{})
		was, is := readFile(t, least, "store/"+witnessFile), readFile(t, d.mem, "store/"+witnessFile)
		for i, b := range append(torn(was, is), was, is) {
			if testing.Short() && (cuts+i)%4 != 0 {
				continue // a quarter of them for each write, another one each time
			}
			fs := least.CrashClone(vfs.CrashCloneCfg{})
			writeFile(t, fs, "store/"+witnessFile, b)
			if got := outcome(t, fs, acked); got != allThere {
				t.Errorf("cut %d: %s with %.120q", cuts, got, b)
			}
		}
		cuts++
		return nil
	})
	for run := range 3 {
		for i := range 40 {
			key, value := fmt.Sprintf("%d/%d", run, i), strings.Repeat("v", 20_000)
			ok(t, put(e, key, value))
			mu.Lock()
			held[key] = value
			mu.Unlock()
		}
		ok(t, e.DB.Flush())
		ok(t, e.Close())
		e = mustOpen(t, "store", smallEngine(d))
	}
	d.heal()
	ok(t, e.Close())
	if cuts < 30 {
		t.Errorf("only %d writes", cuts)
	}
	t.Log(cuts, "writes")
}
