package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/internal/crashdisk"
)

// sickDisk is a disk in memory whose mutations can be made to fail. What it
// would hold after a power cut is known at any time.
type sickDisk struct {
	*crashdisk.Disk
	mem *vfs.MemFS
}

func newSickDisk() *sickDisk { return sickDiskOf(vfs.NewCrashableMem()) }

// sickDiskOf takes mem over.
func sickDiskOf(mem *vfs.MemFS) *sickDisk {
	return &sickDisk{crashdisk.New(mem, crashdisk.Careless), mem}
}

// sicken makes mutations fail as rule says, nil for none.
func (d *sickDisk) sicken(rule crashdisk.Rule) { d.Follow(rule) }
func (d *sickDisk) heal()                      { d.Follow(nil) }

// afterCut returns what a power cut would leave: nothing that was not synced.
func (d *sickDisk) afterCut() vfs.FS { return d.cut(0) }

// cut returns what a power cut would leave if the disk had written nothing,
// or all (keep 100), of what was not synced.
func (d *sickDisk) cut(keep int) vfs.FS { return d.Cut(keep, 1) }

// failing is a rule for all operations of these kinds on files whose name
// holds part.
func failing(err error, part string, kinds ...errorfs.OpKind) func(int64, errorfs.Op) error {
	return func(_ int64, op errorfs.Op) error {
		for _, k := range kinds {
			if op.Kind == k && strings.Contains(op.Path, part) {
				return err
			}
		}
		return nil
	}
}

// once makes a rule hold for one operation only.
func once(rule func(int64, errorfs.Op) error) func(int64, errorfs.Op) error {
	var done atomic.Bool
	return func(n int64, op errorfs.Op) error {
		if err := rule(n, op); err != nil && done.CompareAndSwap(false, true) {
			return err
		}
		return nil
	}
}

// smallEngine are options under which a few hundred kilobytes make tables.
func smallEngine(fs vfs.FS) engineOptions {
	return engineOptions{FS: fs, MemTableBytes: minMemTableBytes, CacheBytes: 1 << 20}
}

// load writes values of 20 kB until told to stop, from four goroutines, and
// notes what was acknowledged.
type load struct {
	mu    sync.Mutex
	acked map[string]string
}

func (l *load) run(e *engine, writes int) {
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range writes {
				key := fmt.Sprintf("%d/%04d", w, i)
				value := strings.Repeat(key, 3000)
				if put(e, key, value) == nil {
					l.mu.Lock()
					l.acked[key] = value
					l.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
}

// check fails the test unless all that was acknowledged is there.
func (l *load) check(t *testing.T, e *engine, when string) {
	t.Helper()
	held, err := scan(e)
	for key, want := range l.acked {
		if v := held[key]; err != nil || v != want {
			t.Fatalf("%s: %s was acknowledged: %d bytes %.10q, %v", when, key, len(v), v, err)
		}
	}
	for key, want := range l.acked { // any of them
		if v, err := get(e, key); err != nil || v != want {
			t.Fatalf("%s: %s cannot be got: %v", when, key, err)
		}
		break
	}
}

// must fails the test unless err wraps all of want.
func must(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Fatalf("error %v, want %v", err, w)
		}
	}
}

// tb is what testing.TB and rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func ok(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ingestOne makes a table of one key, ingests it, and makes it durable.
func ingestOne(e *engine, key, value string) error {
	if err := e.admit(); err != nil {
		return err
	}
	name := e.FS.PathJoin(e.FS.PathDir(e.ballast.name), "ingest.sst")
	f, err := e.FS.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f),
		sstable.WriterOptions{TableFormat: e.DB.TableFormat()})
	if err := errors.Join(w.Set([]byte(key), []byte(value)), w.Close()); err != nil {
		return err
	}
	if err := e.ingest(context.Background(), []string{name}); err != nil {
		return err
	}
	return e.sync()
}
