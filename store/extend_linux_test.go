package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// grownLog returns the name of the only WAL of a store, and how many bytes of it
// were written: what is behind them are zeros.
func grownLog(t *testing.T, dir string) (name string, written int) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, dataDir, "*"+logSuffix))
	ok(t, err)
	if len(logs) != 1 {
		t.Fatalf("the logs are %q, want one", logs)
	}
	b, err := os.ReadFile(logs[0])
	ok(t, err)
	for written = len(b); written > 0 && b[written-1] == 0; {
		written--
	}
	return logs[0], written
}

// A process that is killed leaves a WAL that was grown, with zeros behind what
// was written to it: they are its end. One that was closed is as long, and what
// of it is gone or wrong is damage, as in a WAL that was not grown.
func TestAGrownLogEndsWhereItWasWritten(t *testing.T) {
	const keys = 100
	dir := t.TempDir()
	probe, err := os.Create(filepath.Join(dir, "probe"))
	ok(t, err)
	if err := errors.Join(extend(probe.Fd(), 0, 1), probe.Close()); err != nil {
		t.Skipf("this filesystem cannot grow a file: %v", err)
	}
	e := mustOpen(t, filepath.Join(dir, "open"), engineOptions{})
	for i := range keys {
		ok(t, put(e, fmt.Sprint("key", i), "value"))
	}
	copyOf := func(name string) string { // as the process has left it now
		to := filepath.Join(dir, name)
		ok(t, os.CopyFS(to, os.DirFS(filepath.Join(dir, "open"))))
		return to
	}

	whole := copyOf("whole")
	log, written := grownLog(t, whole)
	info, err := os.Stat(log)
	ok(t, err)
	if grown := info.Size() - int64(written); grown < defaultMemTableBytes/2 {
		t.Errorf("%d bytes are behind those written, want most of a memtable", grown)
	}
	survivor := mustOpen(t, whole, engineOptions{})
	held, err := scan(survivor)
	ok(t, err)
	if len(held) != keys {
		t.Errorf("%d keys are there, want %d", len(held), keys)
	}
	ok(t, survivor.Close())

	ok(t, e.Close())
	flipped := copyOf("flipped")
	log, written = grownLog(t, flipped)
	b, err := os.ReadFile(log)
	ok(t, err)
	b[written/2] ^= 1
	ok(t, os.WriteFile(log, b, 0o600))
	if e, err := openEngine(flipped, engineOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a bit flipped it opens with %v, want damage", err)
		if err == nil {
			e.Close()
		}
	}

	zeroed := copyOf("zeroed") // the file has its length, and not what was written last
	log, written = grownLog(t, zeroed)
	b, err = os.ReadFile(log)
	ok(t, err)
	clear(b[written/2:])
	ok(t, os.WriteFile(log, b, 0o600))
	if e, err := openEngine(zeroed, engineOptions{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("with its end zeroed it opens with %v, want damage", err)
		if err == nil {
			e.Close()
		}
	}
}
