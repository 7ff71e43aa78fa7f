package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// damagedStore returns a closed store with tables in two levels and a WAL,
// and what it holds.
func damagedStore(t *testing.T) (*vfs.MemFS, map[string]string) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	held := map[string]string{}
	e := mustOpen(t, "store", smallEngine(mem))
	write := func(from, to int) {
		for i := from; i < to; i++ {
			key := fmt.Sprintf("key/%04d", i)
			held[key] = strings.Repeat(key+" ", 100)
			ok(t, put(e, key, held[key]))
		}
	}
	write(0, 60)
	ok(t, e.DB.Flush())
	ok(t, e.DB.Compact(context.Background(), []byte("k"), []byte("l"), false))
	write(60, 120)
	ok(t, e.DB.Flush())
	write(120, 160)
	ok(t, e.Close())
	return mem, held
}

// readFile and writeFile are os.ReadFile and os.WriteFile for a vfs.FS.
func readFile(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	ok(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	ok(t, err)
	return b
}

func writeFile(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	ok(t, err)
	_, err = f.Write(bytes.Clone(b)) // under -race Pebble's MemFS overwrites it
	ok(t, errors.Join(err, f.Close()))
}

// The outcomes of opening a damaged store and reading all of it.
const (
	allThere    = "all there"
	openRefused = "open refused"
	readRefused = "read refused"
	tailLost    = "some missing"
)

// TestFlippedBitsAreNeverReadAsData flips bits in each file of a store. What
// is read is what was written, or an error that says damage; after such an
// error writes are refused too.
func TestFlippedBitsAreNeverReadAsData(t *testing.T) {
	mem, held := damagedStore(t)
	may := map[string][]string{
		".sst":     {allThere, openRefused, readRefused},
		".log":     {allThere, openRefused},
		"MANIFEST": {allThere, openRefused}, // there are old ones
		"OPTIONS":  {allThere, openRefused},
	}
	ls, err := mem.List("store/data")
	ok(t, err)
	for _, name := range ls {
		for kind, outcomes := range may {
			if !strings.Contains(name, kind) {
				continue
			}
			name = "store/data/" + name
			whole := readFile(t, mem, name)
			for at := 0; at < len(whole); at += 1 + len(whole)/60 {
				fs := mem.CrashClone(vfs.CrashCloneCfg{})
				flipped := slices.Clone(whole)
				flipped[at] ^= 1 << (at % 8)
				writeFile(t, fs, name, flipped)
				if got := outcomeOfGets(t, fs, held); !slices.Contains(outcomes, got) {
					t.Errorf("%s with byte %d flipped: %s", name, at, got)
				}
			}
		}
	}
}

// outcome opens a store and scans all of it. A value that was never written,
// or an error that does not say damage, is an outcome that nothing allows.
func outcome(t *testing.T, fs vfs.FS, held map[string]string) string {
	t.Helper()
	return outcomeOf(t, fs, held, func(e *engine) func(string) (string, error) {
		all, err := scan(e)
		return func(k string) (string, error) {
			v, there := all[k]
			if err == nil && !there {
				return "", pebble.ErrNotFound
			}
			return v, err
		}
	})
}

// outcomeOfGets is outcome by a Get of each key.
func outcomeOfGets(t *testing.T, fs vfs.FS, held map[string]string) string {
	t.Helper()
	return outcomeOf(t, fs, held, func(e *engine) func(string) (string, error) {
		return func(k string) (string, error) { return get(e, k) }
	})
}

func outcomeOf(t *testing.T, fs vfs.FS, held map[string]string, read func(*engine) func(string) (string, error)) string {
	t.Helper()
	e, err := openEngine("store", smallEngine(fs))
	if errors.Is(err, ErrDamaged) {
		return openRefused
	} else if err != nil {
		return err.Error()
	}
	defer e.Close()
	result, get := allThere, read(e)
	for k, want := range held {
		v, err := get(k)
		switch {
		case errors.Is(err, ErrDamaged):
			must(t, put(e, "x", "y"), ErrHalted, ErrDamaged)
			must(t, e.sync(), ErrHalted, ErrDamaged)
			return readRefused
		case errors.Is(err, pebble.ErrNotFound):
			result = tailLost
		case err != nil:
			return err.Error()
		case v != want:
			return "wrong value at " + k
		}
	}
	return result
}

func TestMissingAndShortFilesAreDamage(t *testing.T) {
	mem, held := damagedStore(t)
	ls, err := mem.List("store/data")
	ok(t, err)
	slices.Sort(ls)
	manifest := ""
	for _, name := range ls {
		if strings.HasPrefix(name, "MANIFEST-") {
			manifest = name // the last one counts
		}
	}
	for _, name := range ls {
		if !strings.HasSuffix(name, ".sst") && name != manifest {
			continue
		}
		name = "store/data/" + name
		gone, short := mem.CrashClone(vfs.CrashCloneCfg{}), mem.CrashClone(vfs.CrashCloneCfg{})
		ok(t, gone.Remove(name))
		writeFile(t, short, name, readFile(t, mem, name)[:10])
		for what, fs := range map[string]vfs.FS{"gone": gone, "short": short} {
			if got := outcome(t, fs, held); got != openRefused {
				t.Errorf("%s %s: %s", name, what, got)
			}
		}
	}
}

func TestStoreThatLostItsDataIsDamaged(t *testing.T) {
	mem, _ := damagedStore(t)
	gone := mem.CrashClone(vfs.CrashCloneCfg{})
	ok(t, gone.RemoveAll("store/data"))
	_, err := openEngine("store", smallEngine(gone))
	must(t, err, ErrDamaged)

	unlabelled := mem.CrashClone(vfs.CrashCloneCfg{})
	ok(t, unlabelled.Remove("store/"+formatFile))
	_, err = openEngine("store", smallEngine(unlabelled))
	must(t, err, ErrDamaged)
	if ls, err := unlabelled.List("store/data"); err != nil || len(ls) == 0 {
		t.Fatalf("data without a %s file was touched: %v %v", formatFile, ls, err)
	}
}

// Without its FORMAT file a store is damaged, as long as something tells that
// it is one: it is not replaced, and a repair reads what is left.
func TestStoreThatLostMoreThanItsFormatIsDamaged(t *testing.T) {
	for _, lost := range [][]string{{"MANIFEST-"}, {"MANIFEST-", "WITNESS"}, {"MANIFEST-", "WITNESS", "marker."}, {"data"}} {
		mem := filledNode(t)
		ok(t, mem.Remove("db/"+formatFile))
		for _, part := range lost {
			names := files(t, mem, part)
			if len(names) == 0 {
				names = []string{"db/" + part}
			}
			for _, name := range names {
				ok(t, mem.RemoveAll(name))
			}
		}
		_, err := openEngine("db", smallEngine(mem))
		must(t, err, ErrDamaged)
		done, err := Repair(context.Background(), "db", Options{FS: mem})
		ok(t, err)
		if all := lost[0] != "data"; all && done.Records != 180 || !all && done.Records != 0 {
			t.Errorf("without %q: %+v", lost, done)
		}
	}
}
