package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/internal/crashdisk"
	"github.com/anabranch-db/anabranch/store"
)

// openIn opens node n's store in dir; it is closed with the test.
func (f *fleet) openIn(t *testing.T, n int, disk vfs.FS, dir string, forget ...string) *store.Store {
	t.Helper()
	o := f.options(n, disk)
	o.Forget = forget
	s, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestASavepointHoldsWhatTheStoreHeld(t *testing.T) {
	f, disk := &fleet{t: t}, vfs.NewMem()
	s := goldenStore(f, disk)
	if err := errors.Join(s.SetLocal("kept", []byte("1")), s.SetLocal("secret", []byte("2"))); err != nil {
		t.Fatal(err)
	}
	want := pairs(t, s)
	if err := s.Savepoint("at/noon"); err != nil {
		t.Fatal(err)
	}
	commit(t, create(t, s), set(key("later"), "x"))
	if err := s.Savepoint("at/noon"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made again: %v", err)
	}
	for _, inside := range []string{"db/noon", "db/data/noon", "db/stage/at/noon"} {
		if err := s.Savepoint(inside); err == nil || !strings.Contains(err.Error(), "inside of the store, db") {
			t.Errorf("in %s: %v", inside, err)
		}
	}
	after := pairs(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Savepoint("at/night"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("of a closed store: %v", err)
	}
	if got := pairs(t, f.open(1, disk)); !slices.Equal(got, after) {
		t.Errorf("the store has\n%q, want\n%q", got, after)
	}
	if names, err := disk.List("at"); err != nil || !slices.Equal(names, []string{"noon"}) {
		t.Errorf("there is %q (%v)", names, err)
	}

	saved := f.openIn(t, 1, disk, "at/noon", "secret", "never there")
	want = slices.DeleteFunc(want, func(line string) bool { return strings.Contains(line, fmt.Sprintf("%x", "secret")) })
	if got := pairs(t, saved); !slices.Equal(got, want) {
		t.Errorf("it holds\n%q, want\n%q", got, want)
	}
	// Only at first: from then on it is a store like any other.
	if err := errors.Join(saved.SetLocal("secret", []byte("3")), saved.Close()); err != nil {
		t.Fatal(err)
	}
	saved = f.openIn(t, 1, disk, "at/noon", "secret")
	if v, err := saved.Local("secret"); string(v) != "3" || err != nil {
		t.Errorf("the local value is %q (%v)", v, err)
	}
}

// Nor does it bring along what it must not where it is repaired, and not opened, first.
func TestASavepointThatIsRepairedForgets(t *testing.T) {
	f, disk := &fleet{t: t}, vfs.NewMem()
	s := goldenStore(f, disk)
	err := errors.Join(s.SetLocal("kept", []byte("1")), s.SetLocal("secret", []byte("2")), s.Savepoint("noon"))
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove("noon/WITNESS"); err != nil {
		t.Fatal(err)
	}
	o := f.options(1, disk)
	o.Forget = []string{"secret"}
	if r, err := store.Repair(t.Context(), "noon", o); err != nil || r.Aside == "" {
		t.Fatalf("%+v, error %v", r, err)
	}
	saved := f.openIn(t, 1, disk, "noon", "secret")
	for key, want := range map[string]string{"kept": "1", "secret": ""} {
		if v, err := saved.Local(key); string(v) != want || err != nil {
			t.Errorf("%s is %q (%v)", key, v, err)
		}
	}
}

// Taken beside writers it is of one moment for all namespaces.
func TestASavepointIsOfOneMoment(t *testing.T) {
	f, f2, disk := &fleet{t: t}, &fleet{t: t}, vfs.NewMem()
	s := f.open(1, disk)
	first, second := create(t, s), mustCreate(t, s, "second")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 {
			commit(t, first, set(numbered(i), "x"), set(numbered(i+1000), "x"))
			commit(t, second, set(numbered(i), "x"))
		}
	}()
	busy := true
	for i := 0; busy; i++ {
		select {
		case <-done:
			busy = false
		default:
		}
		dir := fmt.Sprint("copy", i)
		if err := s.Savepoint(dir); err != nil {
			t.Fatal(err)
		}
		r := f2.openIn(t, 1, disk, dir)
		a, b := len(state(t, create(t, r)))-1, len(state(t, mustCreate(t, r, "second")))-1 // the vector
		if a%2 != 0 || a/2 < b || a/2 > b+1 {
			t.Errorf("%d records in pairs beside %d", a, b)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The store and its savepoint go on as two branches.
func TestASavepointIsABranch(t *testing.T) {
	f, disk := &fleet{t: t}, vfs.NewMem()
	s := f.open(1, disk)
	ns := create(t, s)
	commit(t, ns, set(key("before"), "1"))
	if err := s.Savepoint("copy"); err != nil {
		t.Fatal(err)
	}
	branch := create(t, f.openIn(t, 1, disk, "copy"))
	commit(t, ns, set(key("here"), "1"))
	commit(t, branch, set(key("there"), "1"))
	pull(t, ns, branch)
	pull(t, branch, ns)
	if got, want := state(t, branch), state(t, ns); !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for _, k := range []string{"before", "here", "there"} {
		if got := get(t, ns, key(k)); !slices.Equal(got, []string{"1"}) {
			t.Errorf("%s: %q", k, got)
		}
	}
}

// savedOn makes a savepoint on a disk under a rule for what concerns it.
func (f *fleet) savedOn(t *testing.T, d *crashdisk.Disk, rule func(n int) error) (s *store.Store, err error) {
	t.Helper()
	return f.savedAt(t, d, "noon", rule)
}

func (f *fleet) savedAt(t *testing.T, d *crashdisk.Disk, dir string, rule func(n int) error) (s *store.Store, err error) {
	t.Helper()
	s = f.openIn(t, 1, d, "db")
	if _, err := create(t, s).Commit(&store.Write{Ops: []store.Op{set(key("a"), "1")}}); err != nil {
		t.Fatal(err)
	}
	n, disk := 0, strings.SplitN(dir, "/", 2)[0]
	d.Follow(func(_ int64, op errorfs.Op) error {
		if !strings.HasPrefix(op.Path, disk) {
			return nil
		}
		n++
		return rule(n)
	})
	err = s.Savepoint(dir)
	d.Follow(nil)
	return s, err
}

// whole wants a store with what savedOn wrote.
func (f *fleet) whole(t *testing.T, disk vfs.FS, dir string) {
	t.Helper()
	s := f.openIn(t, 1, disk, dir)
	if got := get(t, create(t, s), key("a")); !slices.Equal(got, []string{"1"}) {
		t.Errorf("%s holds %q", dir, got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func newDisk() *crashdisk.Disk { return crashdisk.New(vfs.NewCrashableMem(), crashdisk.Journaled) }

// The power is cut before each operation that a savepoint consists of.
func TestAPowerCutLeavesASavepointWholeOrNone(t *testing.T) {
	f, cuts, there := &fleet{t: t}, 0, 0
	for _, kept := range crashdisk.Journaled.Leaves() {
		var left []*vfs.MemFS
		d := newDisk()
		_, err := f.savedOn(t, d, func(n int) error {
			left = append(left, d.Cut(kept, uint64(n)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, disk := range append(left, d.Cut(kept, 0)) {
			cuts++
			f.whole(t, disk, "db")
			if _, err := disk.Stat("noon"); err == nil {
				there++
				f.whole(t, disk, "noon")
			}
		}
		if _, err := d.Cut(0, 0).Stat("noon"); err != nil {
			t.Errorf("it was made, and is gone after a power cut: %v", err)
		}
	}
	if cuts < 80 || there == 0 || there == cuts {
		t.Errorf("%d cuts, and it is there after %d", cuts, there)
	}
	t.Attr("fault.cuts", fmt.Sprint(cuts))
}

// Each operation that a savepoint consists of fails: that is its caller's to
// hear of, and no reason for the store to stop.
func TestASavepointThatFailsHarmsNothing(t *testing.T) {
	f, failed := &fleet{t: t}, 0
	for at := 1; ; at++ {
		d, reached := newDisk(), false
		// The directory around it is of another disk than the store, as it may be.
		s, err := f.savedAt(t, d, "usb/noon", func(n int) error {
			if n != at {
				return nil
			}
			reached = true
			return syscall.EIO
		})
		if !reached {
			break
		}
		failed++
		if names, _ := d.List("usb"); err != nil && slices.Contains(names, "noon") {
			t.Errorf("operation %d failed (%v), and it is there", at, err)
		}
		if health := s.Health(); health != nil {
			t.Fatalf("operation %d failed, and the store with it: %v", at, health)
		}
		commit(t, create(t, s), set(key("b"), "2"))
		if err := s.Savepoint("again"); err != nil {
			t.Errorf("after operation %d failed: %v", at, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		f.whole(t, d, "db")
		f.whole(t, d, "again")
	}
	if failed < 20 {
		t.Errorf("%d operations failed", failed)
	}
	t.Attr("fault.failed", fmt.Sprint(failed))
}
