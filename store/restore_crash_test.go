package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A power cut at each mutation of a restore, with nothing and with all of what
// was not synced, leaves a store without a namespace, one that says that a
// restore did not end, or the whole. It can be restored again unless it is
// whole.
func TestAPowerCutLeavesNoHalfRestore(t *testing.T) {
	b := smallBackup(t)
	whole, cuts := 0, 0
	for at, end, step := int64(1), int64(1<<30), int64(1); at <= end; at += step {
		for _, keep := range []int{0, 100} {
			d := newSickDisk()
			var left vfs.FS
			d.sicken(func(n int64, _ errorfs.Op) error {
				if n == at {
					left = d.cut(keep)
				}
				return nil
			})
			ok(t, Restore(t.Context(), "db", bytes.NewReader(b), Options{FS: d}))
			if left == nil {
				end = 0
				break
			}
			cuts++
			whole += checkRestored(t, left, b)
		}
		if testing.Short() {
			step = 1 + at/20
		}
	}
	t.Attr("crash-points", fmt.Sprint(cuts))
	t.Attr("fault.power-cut", fmt.Sprint(cuts))
	if whole == 0 {
		t.Error("no cut left a whole store: the last fsync is not the last mutation")
	}
}

// ending calls ended at the end of what it reads.
type ending struct {
	io.Reader
	ended func()
}

func (e ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		e.ended()
	}
	return n, err
}

// What keeps a whole backup from being checked is not its fault.
func TestARestoreThatIsCutOffDoesNotBlameTheBackup(t *testing.T) {
	s, err := Open("db", repairOptions(filledNode(t), 1))
	ok(t, err)
	var b bytes.Buffer
	ok(t, errors.Join(s.Backup(t.Context(), &b, nil), s.Close()))
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{FS: vfs.NewMem()}
	err = Restore(ctx, "db", ending{bytes.NewReader(b.Bytes()), cancel}, o)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrBackup) {
		t.Errorf("cut off behind the backup's end: %v", err)
	}
	ok(t, Restore(t.Context(), "db", &b, o))
}

// checkRestored returns 1 if the store is whole.
func checkRestored(t *testing.T, disk vfs.FS, b []byte) int {
	t.Helper()
	s, err := Open("db", Options{FS: disk})
	switch {
	case errors.Is(err, ErrRestoring):
	case err != nil:
		t.Fatal(err)
	default:
		names := s.Namespaces()
		last, err := s.Local("3")
		ok(t, err)
		ok(t, errors.Join(s.Check(t.Context()), s.Close()))
		switch whole := len(last) > 0; {
		case len(names) == 2 && whole:
			return 1
		case len(names) > 0 || whole:
			t.Fatalf("namespaces %q are there, and of the last value %d bytes", names, len(last))
		}
	}
	ok(t, Restore(t.Context(), "db", bytes.NewReader(b), Options{FS: disk}))
	return 0
}

func smallBackup(t *testing.T) []byte {
	t.Helper()
	s, err := Open("db", Options{FS: vfs.NewMem()})
	ok(t, err)
	defer s.Close()
	for _, name := range []string{"a", "b"} {
		_, err := s.Create(name)
		ok(t, err)
	}
	for _, key := range []string{"1", "2", "3"} { // a block each
		ok(t, s.SetLocal(key, make([]byte, backupBlock)))
	}
	var b bytes.Buffer
	ok(t, s.Backup(t.Context(), &b, nil))
	return b.Bytes()
}
