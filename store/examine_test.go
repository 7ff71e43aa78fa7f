package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Examine reads what is there, also what is only in a log, and writes nothing.
func TestExamineWritesNothing(t *testing.T) {
	mem := filledNode(t)
	d := sickDiskOf(mem)
	d.sicken(func(_ int64, op errorfs.Op) error {
		if !strings.HasSuffix(op.Path, "LOCK") {
			t.Errorf("%+v", op)
		}
		return nil
	})
	var keys []string
	ok(t, Examine("db", Options{FS: d}, func(s *Store) error {
		keys = held(t, s)
		return s.Check(context.Background())
	}))
	if len(keys) != 180 {
		t.Errorf("%d keys", len(keys))
	}
}

func TestExamineSaysWhatOpenWould(t *testing.T) {
	look := func(s *Store) error { return s.Check(context.Background()) }
	must(t, Examine("db", Options{FS: vfs.NewMem()}, look), fs.ErrNotExist)
	for _, part := range []string{"MANIFEST-", ".sst"} {
		mem := filledNode(t)
		all := files(t, mem, part)
		name := all[len(all)-1]
		b := readFile(t, mem, name)
		b[len(b)/2] ^= 1
		writeFile(t, mem, name, b)
		before, err := mem.List("db")
		ok(t, err)
		must(t, Examine("db", Options{FS: mem}, look), ErrDamaged)
		after, err := mem.List("db")
		ok(t, err)
		if slices.Sort(before); !slices.Equal(before, slices.Sorted(slices.Values(after))) {
			t.Errorf("%s: %q became %q", part, before, after)
		}
	}
	mem := filledNode(t)
	ok(t, mem.Remove("db/"+formatFile))
	must(t, Examine("db", Options{FS: mem}, look), ErrDamaged)
	mem = filledNode(t)
	ok(t, markDamaged(mem, "db", errors.New("as it was")))
	must(t, Examine("db", Options{FS: mem}, look), ErrDamaged)
}
