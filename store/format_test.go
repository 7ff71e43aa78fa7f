package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

func TestFormatFileOfEachReleaseIsRead(t *testing.T) {
	for _, tc := range []struct {
		version int
		state   string
		golden  string
	}{
		{formatFirst, stateReady, "testdata/FORMAT.1"}, {formatFirst, stateCreating, "testdata/FORMAT.1.creating"},
		{formatWitness, stateReady, "testdata/FORMAT.2"}, {formatWitness, stateCreating, "testdata/FORMAT.2.creating"},
		{formatWitness, stateSavepoint, "testdata/FORMAT.2.checkpoint"},
	} {
		golden, err := os.ReadFile(tc.golden)
		ok(t, err)
		if got := encodeFormat(tc.version, tc.state); string(got) != string(golden) {
			t.Errorf("%s: now written as %q", tc.golden, got)
		}
		v, s, err := decodeFormat(golden)
		if v != tc.version || s != tc.state || err != nil {
			t.Errorf("%s: read as %d %q, %v", tc.golden, v, s, err)
		}
	}
}

func TestNewerFormatIsRefusedAndNothingIsWritten(t *testing.T) {
	for _, state := range []string{stateReady, stateCreating, "migrating-from-7"} {
		mem, _ := damagedStore(t)
		writeFile(t, mem, "store/"+formatFile, encodeFormat(formatCurrent+1, state))
		var wrote []string
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				wrote = append(wrote, op.Path)
			}
			return nil
		}))
		_, err := openEngine("store", smallEngine(fs))
		must(t, err, ErrNewerFormat)
		for _, part := range []string{"store", "format 3", "up to 2"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
		if len(wrote) > 0 {
			t.Errorf("written to: %q", wrote)
		}
	}
}

func TestGarbledFormatFileIsDamage(t *testing.T) {
	mem, _ := damagedStore(t)
	whole := readFile(t, mem, "store/"+formatFile)
	var garbled [][]byte
	for n := range whole {
		garbled = append(garbled, whole[:n])
		for bit := range 8 {
			flipped := slices.Clone(whole)
			flipped[n] ^= 1 << bit
			garbled = append(garbled, flipped)
		}
	}
	garbled = append(garbled, append(slices.Clone(whole), '\n'), make([]byte, 4096),
		encodeFormat(0, stateReady), encodeFormat(-1, stateReady), encodeFormat(formatFirst, "odd"),
		encodeFormat(formatFirst, ""), encodeFormat(formatFirst, "two words"))
	for _, b := range garbled {
		writeFile(t, mem, "store/"+formatFile, b)
		if _, err := openEngine("store", smallEngine(mem)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%q: %v", b, err)
		}
	}
}

func FuzzFormatFile(f *testing.F) {
	f.Add(encodeFormat(formatFirst, stateReady))
	f.Add([]byte("anabranch store 1 ready 00000000\n"))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		version, state, err := decodeFormat(b)
		if err == nil && string(encodeFormat(version, state)) != string(b) {
			t.Fatalf("%q is read as %d %q, which is written in another way", b, version, state)
		}
	})
}

// TestPowerCutWhileCreatingLeavesNoHalfStore cuts the power after each
// mutation of a first open, keeping nothing or all of what was not synced.
func TestPowerCutWhileCreatingLeavesNoHalfStore(t *testing.T) {
	for at, end := int64(1), int64(1<<30); at <= end; at++ {
		for _, keep := range []int{0, 100} {
			d := newSickDisk()
			var left vfs.FS
			d.sicken(func(n int64, _ errorfs.Op) error {
				if n == at {
					left = d.cut(keep)
				}
				return nil
			})
			e := mustOpen(t, "a/store", smallEngine(d))
			ok(t, e.Close())
			if left == nil {
				end = 0
				break
			}
			e = mustOpen(t, "a/store", smallEngine(left))
			ok(t, put(e, "k", "v"))
			ok(t, e.Close())
		}
	}
}

func TestDirectoryIsHeldUnderAnyName(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	real := filepath.Join(dir, "real")
	e := mustOpen(t, real, engineOptions{})
	ok(t, os.Symlink(real, link))
	t.Chdir(dir)
	for _, name := range []string{real, link, "real", "./link", real + "/."} {
		_, err := openEngine(name, engineOptions{})
		must(t, err, ErrInUse)
		if !strings.Contains(err.Error(), real) {
			t.Errorf("%q does not name the directory", err)
		}
	}
	ok(t, e.Close())
	ok(t, mustOpen(t, link, engineOptions{}).Close())
}
