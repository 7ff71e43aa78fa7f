package store_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/store"
)

var rewrite = flag.Bool("rewrite", false, "write the keys and values of today into testdata")

// goldenStore makes a store with something of everything: two runs, a peer's
// delta with siblings, removals, a second namespace, one that was dropped, a
// local value.
func goldenStore(f *fleet, disk vfs.FS) *store.Store {
	peer := f.openNamespace(2, vfs.NewMem())
	s := f.open(1, disk)
	ns := create(f.t, s)
	commit(f.t, ns, set(key("a"), "1"), set(key("b", "c"), "2"))
	commit(f.t, peer, set(key("a"), "of the peer"), store.Op{Key: key("gone"), Removed: true})
	pull(f.t, ns, peer)
	s, ns = f.reopen(1, disk, s)
	commit(f.t, ns, set(key("b", "c"), "3"))
	dropped, err := s.Create("dropped")
	if err == nil {
		commit(f.t, dropped, set(key("a"), "x"))
		err = s.Drop("dropped")
	}
	if err == nil {
		_, err = s.Create("empty")
	}
	if err == nil {
		err = s.SetLocal("setting", []byte("on"))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

const goldenFile = "testdata/keys.1.txt"

// Each release must write the keys and values of the ones before it.
func TestKeysAndValuesOnDiskAreFrozen(t *testing.T) {
	s := goldenStore(&fleet{t: t}, vfs.NewMem())
	var lines []string
	for k, v := range s.Pairs(t) {
		lines = append(lines, fmt.Sprintf("%x %x\n", k, v))
	}
	got := strings.Join(lines, "")
	if *rewrite {
		if err := os.WriteFile(goldenFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("on disk there is\n%swant\n%s", got, want)
	}
}

// Each release must read them.
func TestAStoreOfEachReleaseIsRead(t *testing.T) {
	f := &fleet{t: t}
	s := goldenStore(f, vfs.NewMem())
	ns, err := s.Namespace("things")
	if err != nil {
		t.Fatal(err)
	}
	want := state(t, ns)

	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	disk := vfs.NewMem()
	db, closeDB, err := store.OpenRaw("db", store.Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		key, err := hex.DecodeString(k)
		if err != nil {
			t.Fatal(err)
		}
		value, err := hex.DecodeString(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Set(key, value, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := closeDB(); err != nil {
		t.Fatal(err)
	}
	old := f.open(1, disk)
	if names := old.Namespaces(); !slices.Equal(names, []string{"empty", "things"}) {
		t.Error(names)
	}
	ns, err = old.Namespace("things")
	if err != nil {
		t.Fatal(err)
	}
	if got := state(t, ns); !slices.Equal(got, want) {
		t.Errorf("it holds %q, want %q", got, want)
	}
	if v, err := old.Local("setting"); string(v) != "on" || err != nil {
		t.Error(v, err)
	}
	if err := old.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
