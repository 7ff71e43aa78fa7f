package store_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/internal/fuzz"
	"github.com/anabranch-db/anabranch/store"
)

func backup(t testing.TB, s *store.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Backup(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restore restores on a disk, from what can be read once.
func restore(t testing.TB, b []byte, disk vfs.FS) error {
	t.Helper()
	return store.Restore(t.Context(), "db", io.MultiReader(bytes.NewReader(b)), store.Options{FS: disk})
}

func pairs(t testing.TB, s *store.Store) (lines []string) {
	t.Helper()
	for k, v := range s.Pairs(t) {
		lines = append(lines, fmt.Sprintf("%x %x", k, v))
	}
	return lines
}

func TestARestoredStoreHoldsWhatWasBackedUp(t *testing.T) {
	f := &fleet{t: t}
	s := goldenStore(f, vfs.NewMem())
	want, b := pairs(t, s), backup(t, s)
	commit(t, create(t, s), set(key("later"), "x"))
	disk := vfs.NewMem()
	if err := restore(t, b, disk); err != nil {
		t.Fatal(err)
	}
	if got := pairs(t, f.open(1, disk)); !slices.Equal(got, want) {
		t.Fatalf("restored\n%q, want\n%q", got, want)
	}
}

// A backup taken beside writers is of one moment for all namespaces: what is
// committed in one after the other is never there without it.
func TestABackupIsOfOneMoment(t *testing.T) {
	f, f2 := &fleet{t: t}, &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	first, second := create(t, s), mustCreate(t, s, "second")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 {
			commit(t, first, set(numbered(i), "x"))
			commit(t, second, set(numbered(i), "x"))
		}
	}()
	for busy := true; busy; {
		select {
		case <-done:
			busy = false
		default:
		}
		disk := vfs.NewMem()
		if err := restore(t, backup(t, s), disk); err != nil {
			t.Fatal(err)
		}
		r := f2.open(1, disk)
		if a, b := len(state(t, create(t, r))), len(state(t, mustCreate(t, r, "second"))); a < b || a > b+1 {
			t.Errorf("%d records beside %d", a, b)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mustCreate(t tb, s *store.Store, name string) *store.Namespace {
	t.Helper()
	ns, err := s.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// The device that was backed up goes on, and the backup is restored twice: to
// three branches, which meet, and lose nothing.
func TestRestoresAreBranches(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	ns := create(t, s)
	commit(t, ns, set(key("before"), "1"))
	b := backup(t, s)
	commit(t, ns, set(key("first"), "1"))
	branches := []*store.Namespace{ns}
	for _, name := range []string{"second", "third"} {
		disk := vfs.NewMem()
		if err := restore(t, b, disk); err != nil {
			t.Fatal(err)
		}
		branch := f.openNamespace(1, disk)
		commit(t, branch, set(key(name), "1"))
		branches = append(branches, branch)
	}
	hub := f.openNamespace(2, vfs.NewMem())
	for _, branch := range branches {
		pull(t, hub, branch)
	}
	for _, branch := range branches {
		pull(t, branch, hub)
		if got, want := state(t, branch), state(t, hub); !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	for _, k := range []string{"before", "first", "second", "third"} {
		if got := get(t, hub, key(k)); !slices.Equal(got, []string{"1"}) {
			t.Errorf("%s: %q", k, got)
		}
	}
	if n := len(hub.Visible().Normal()); n != 3 {
		t.Errorf("%d entries for three branches", n)
	}
}

func TestOnlyWholeBackupsAreRestored(t *testing.T) {
	b := backup(t, goldenStore(&fleet{t: t}, vfs.NewMem()))
	header := bytes.IndexByte(b, '\n') + 1
	check := func(what string, bad []byte, want error) {
		t.Helper()
		disk := vfs.NewMem()
		if err := restore(t, bad, disk); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		s, err := store.Open("db", store.Options{FS: disk})
		if err == nil && len(s.Namespaces()) > 0 || err != nil && !errors.Is(err, store.ErrRestoring) {
			t.Errorf("%s: opened after it (%v)", what, err)
		}
		if err == nil {
			s.Close()
		}
		if err := restore(t, b, disk); err != nil {
			t.Errorf("%s: restored again: %v", what, err)
		}
	}
	for _, n := range []int{0, 5, header, header + 4, len(b) / 2, len(b) - 20, len(b) - 1} {
		check(fmt.Sprintf("the first %d of %d bytes", n, len(b)), b[:n], store.ErrBackup)
	}
	step, flipped := 37, 0
	if *store.EveryBit {
		step = 1
	}
	for at := 0; at < len(b); at += step {
		bad := bytes.Clone(b)
		bad[at] ^= 4
		want := store.ErrBackup
		if at == header-2 { // the version, which is a later one then
			want = store.ErrNewerFormat
		}
		check(fmt.Sprintf("byte %d flipped", at), bad, want)
		flipped++
	}
	t.Attr("fault.flipped", fmt.Sprint(flipped))
	check("something behind it", append(bytes.Clone(b), 0), store.ErrBackup)
	check("newer", append([]byte("anabranch backup 2\n"), b[header:]...), store.ErrNewerFormat)
}

// A file is read before the directory is touched.
func TestABackupThatCanBeReadTwiceIsJudgedFirst(t *testing.T) {
	b := backup(t, goldenStore(&fleet{t: t}, vfs.NewMem()))
	disk := vfs.NewMem()
	for _, bad := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 0), {}} {
		err := store.Restore(t.Context(), "db", bytes.NewReader(bad), store.Options{FS: disk})
		if !errors.Is(err, store.ErrBackup) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	if names, err := disk.List(""); err != nil || len(names) > 0 {
		t.Errorf("there is %q (%v)", names, err)
	}
	whole := bytes.NewReader(append([]byte("before"), b...))
	if _, err := whole.Seek(6, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), "db", whole, store.Options{FS: disk}); err != nil {
		t.Fatal(err)
	}
}

func TestARestoreReplacesNothing(t *testing.T) {
	f := &fleet{t: t}
	b := backup(t, goldenStore(f, vfs.NewMem()))
	disk := vfs.NewMem()
	s := f.open(3, disk)
	if err := restore(t, b, disk); !errors.Is(err, store.ErrInUse) {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetLocal("setting", []byte("own")), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := restore(t, b, disk); err != nil {
		t.Fatal(err) // there is no namespace yet
	}
	s = f.open(3, disk)
	if v, err := s.Local("setting"); string(v) != "own" || err != nil {
		t.Errorf("the local value is %q (%v)", v, err)
	}
	commit(t, create(t, s), set(key("a"), "as another node"))
	want := pairs(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := restore(t, b, disk); !errors.Is(err, store.ErrNotEmpty) {
		t.Fatal(err)
	}
	if got := pairs(t, f.open(3, disk)); !slices.Equal(got, want) {
		t.Errorf("a refused restore left %q, want %q", got, want)
	}
}

func TestABackupLeavesLocalValuesOut(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	if err := errors.Join(s.SetLocal("kept", []byte("1")), s.SetLocal("secret", []byte("2"))); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Backup(t.Context(), &b, func(k string) bool { return k != "secret" }); err != nil {
		t.Fatal(err)
	}
	disk := vfs.NewMem()
	if err := restore(t, b.Bytes(), disk); err != nil {
		t.Fatal(err)
	}
	restored := f.open(1, disk)
	kept, _ := restored.Local("kept")
	if secret, err := restored.Local("secret"); string(kept) != "1" || secret != nil || err != nil {
		t.Errorf("%q, %q (%v)", kept, secret, err)
	}
}

// fullWriter takes some bytes, then fails.
type fullWriter struct{ left int }

var errFull = errors.New("no room for the backup")

func (w *fullWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestABackupThatCannotBeWrittenHarmsNothing(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	ns := create(t, s)
	for i := range 100 {
		commit(t, ns, set(numbered(i), strings.Repeat("x", 10<<10)))
	}
	for _, room := range []int{0, 100, 600 << 10} {
		if err := s.Backup(t.Context(), &fullWriter{room}, nil); !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: %v", room, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, &fullWriter{1 << 30}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	commit(t, ns, set(key("after"), "x"))
}

// slowWriter says that it writes, and takes its time.
type slowWriter struct{ writing, taken chan struct{} }

func (w slowWriter) Write(b []byte) (int, error) {
	w.writing <- struct{}{}
	<-w.taken
	return len(b), nil
}

func TestCloseDoesNotWaitForWhoReadsABackup(t *testing.T) {
	f := &fleet{t: t}
	s := f.open(1, vfs.NewMem())
	commit(t, create(t, s), set(key("a"), "1"))
	w := slowWriter{make(chan struct{}), make(chan struct{})}
	ended := make(chan error)
	go func() { ended <- s.Backup(t.Context(), w, nil) }()
	<-w.writing
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	close(w.taken)
	if err := <-ended; !errors.Is(err, store.ErrClosed) {
		t.Error(err)
	}
	if err := s.Backup(t.Context(), w, nil); !errors.Is(err, store.ErrClosed) {
		t.Error(err)
	}
}

const goldenBackup = "testdata/backup.1.hex"

// Each release must write the backups of the ones before it, and read them.
func TestBackupsAreFrozen(t *testing.T) {
	f := &fleet{t: t}
	s := goldenStore(f, vfs.NewMem())
	want := pairs(t, s)
	if *rewrite {
		text := hex.Dump(backup(t, s))
		if err := os.WriteFile(goldenBackup, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden := readDump(t, goldenBackup)
	if got := backup(t, s); !bytes.Equal(got, golden) {
		t.Errorf("a backup is\n%s", hex.Dump(got))
	}
	disk := vfs.NewMem()
	if err := restore(t, golden, disk); err != nil {
		t.Fatal(err)
	}
	if got := pairs(t, f.open(1, disk)); !slices.Equal(got, want) {
		t.Errorf("restored\n%q, want\n%q", got, want)
	}
}

// readDump reads what hex.Dump wrote.
func readDump(t testing.TB, name string) (b []byte) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, "|")
		_, digits, _ = strings.Cut(digits, " ")
		row, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, row...)
	}
	return b
}

func FuzzBackup(f *testing.F) {
	b := readDump(f, goldenBackup)
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte("anabranch backup 1\n\x00\x00\x00\x02\x00\x00\x00\x00\xc0\x00"))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		pairs, err := store.ReadBackup(bytes.NewReader(b))
		if err != nil && !errors.Is(err, store.ErrBackup) && !errors.Is(err, store.ErrNewerFormat) {
			t.Errorf("%d pairs, then %v", pairs, err)
		}
	})
}
