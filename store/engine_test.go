package store

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func mustOpen(t *testing.T, dir string, o engineOptions) *engine {
	t.Helper()
	e, err := openEngine(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return e
}

// put does what a durable commit does.
func put(e *engine, key, value string) error {
	if err := e.admit(); err != nil {
		return err
	}
	b := e.DB.NewBatch()
	defer b.Close()
	if err := b.Set([]byte(key), []byte(value), nil); err != nil {
		return err
	}
	if err := e.apply(b, true); err != nil {
		return err
	}
	return e.wait(b)
}

func get(e *engine, key string) (string, error) {
	v, c, err := e.DB.Get([]byte(key))
	if err != nil {
		return "", readError(err)
	}
	value := string(v) // before Close, which an expression would not promise
	return value, c.Close()
}

// scan reads all that an engine holds: under -race, where Pebble traces each
// table that a Get looks at, in a tenth of the time.
func scan(e *engine) (map[string]string, error) {
	it, err := e.DB.NewIter(nil)
	if err != nil {
		return nil, readError(err)
	}
	held := map[string]string{}
	for ok := it.First(); ok; ok = it.Next() {
		held[string(it.Key())] = string(it.Value())
	}
	return held, readError(it.Close())
}

func TestEngineKeepsWhatWasWritten(t *testing.T) {
	for _, tc := range []struct {
		name, dir string
		fs        vfs.FS
	}{{"disk", t.TempDir() + "/a/b", nil}, {"memory", "a/b", vfs.NewMem()}} {
		t.Run(tc.name, func(t *testing.T) {
			o := engineOptions{FS: tc.fs}
			e := mustOpen(t, tc.dir, o)
			if err := put(e, "k", "v"); err != nil {
				t.Fatal(err)
			}
			if _, err := openEngine(tc.dir, o); !errors.Is(err, ErrInUse) {
				t.Fatalf("second open: %v", err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = mustOpen(t, tc.dir, o)
			if v, err := get(e, "k"); v != "v" || err != nil {
				t.Fatal(v, err)
			}
			if f := e.DB.FormatMajorVersion(); f != 24 || pebble.FormatMajorVersion(f) != pebbleFormat {
				t.Fatal(f)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
