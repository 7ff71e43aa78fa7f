package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// openOn opens the database "db" on fs, and closes it with the test.
func openOn(t testing.TB, fs vfs.FS) *DB {
	t.Helper()
	return openWith(t, Options{FS: fs})
}

// openWith opens the database "db", and closes it with the test.
func openWith(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// openNamespace opens a namespace of a new database in memory.
func openNamespace(t testing.TB) *Namespace {
	t.Helper()
	ns, err := openOn(t, vfs.NewMem()).Namespace("ns")
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// keyAt returns the key of a register at a path.
func keyAt(parts ...string) crdt.Key {
	k, err := crdt.MakeKey(crdt.Path(parts), crdt.TypeRegister, "")
	if err != nil {
		panic(err)
	}
	return k
}

// put commits value at the register path.
func put(t testing.TB, ns *Namespace, value string, parts ...string) {
	t.Helper()
	err := ns.UpdateWith(t.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
		return tx.Put(keyAt(parts...), []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// read returns the value at k, "" if there is none.
func read(v crdt.View, k crdt.Key) (string, error) {
	rec, err := v.Get(k)
	if err != nil || rec.Winner() == nil {
		return "", err
	}
	return string(rec.Winner().Value), nil
}

// wantRead checks what a new view shows at the register path.
func wantRead(t testing.TB, ns *Namespace, want string, parts ...string) {
	t.Helper()
	err := ns.View(t.Context(), func(v *View) error {
		got, err := read(v, keyAt(parts...))
		if got != want {
			t.Errorf("%s reads %q, want %q", crdt.Path(parts), got, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func wantIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v, want one that is %v", err, target)
	}
}

func TestStateSurvivesAReopen(t *testing.T) {
	fs := vfs.NewMem()
	db := openOn(t, fs)
	ns, err := db.Namespace("ns")
	if err != nil {
		t.Fatal(err)
	}
	put(t, ns, "one", "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openOn(t, fs)
	if ns, err = db.Lookup("ns"); err != nil {
		t.Fatal(err)
	}
	wantRead(t, ns, "one", "a")
}

func TestADirectoryIsGivenAnIdentity(t *testing.T) {
	dir := t.TempDir()
	var nodes []crdt.NodeID
	for range 2 {
		db, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, db.Node())
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if nodes[0] != nodes[1] || nodes[0].IsZero() {
		t.Errorf("nodes %v", nodes)
	}
}

func TestNamespacesComeAndGo(t *testing.T) {
	db := openOn(t, vfs.NewMem())
	_, err := db.Lookup("a")
	wantIs(t, err, ErrNoNamespace)
	wantIs(t, db.Drop("a"), ErrNoNamespace)
	_, err = db.Namespace("a name")
	wantIs(t, err, ErrName)
	for _, name := range []string{"b", "a", "b"} {
		if _, err := db.Namespace(name); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := db.Namespaces(); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("namespaces %v (%v)", got, err)
	}
	first, _ := db.Lookup("a")
	again, _ := db.Create("a")
	if first != again {
		t.Error("two handles for one namespace")
	}
	put(t, first, "one", "x")
	if err := db.Drop("a"); err != nil {
		t.Fatal(err)
	}
	wantIs(t, first.View(t.Context(), func(*View) error { return nil }), ErrNoNamespace)
	wantIs(t, first.Update(t.Context(), func(tx *Tx) error { return tx.Put(keyAt("x"), nil) }), ErrNoNamespace)
	fresh, err := db.Namespace("a")
	if err != nil {
		t.Fatal(err)
	}
	wantRead(t, fresh, "", "x")
}

func TestDropEndsOpenViews(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "one", "a")
	err := ns.View(t.Context(), func(v *View) error {
		if err := ns.db.Drop("ns"); err != nil {
			return err
		}
		_, err := v.Get(keyAt("a"))
		return err
	})
	wantIs(t, err, ErrNoNamespace)
}

// TestNoViewOpensWhileItsNamespaceGoes looks into the midst of a Drop, which
// would wait for such a view, and so for whatever its closure waits for.
func TestNoViewOpensWhileItsNamespaceGoes(t *testing.T) {
	ns := openNamespace(t)
	ns.db.retire(ns.store)
	wantIs(t, ns.View(t.Context(), func(*View) error { return nil }), ErrNoNamespace)
	if err := ns.db.store.Drop("ns"); err != nil { // nothing is left open
		t.Fatal(err)
	}
}

func TestAClosedDatabaseSaysSo(t *testing.T) {
	ns := openNamespace(t)
	db := ns.db
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"namespace":  func() error { _, err := db.Namespace("a"); return err },
		"lookup":     func() error { _, err := db.Lookup("ns"); return err },
		"namespaces": func() error { _, err := db.Namespaces(); return err },
		"drop":       func() error { return db.Drop("ns") },
		"health":     db.Health,
		"sync":       func() error { return ns.Sync(t.Context()) },
		"digest":     func() error { _, err := ns.Digest(t.Context()); return err },
		"view":       func() error { return ns.View(t.Context(), func(*View) error { return nil }) },
		"update":     func() error { return ns.Update(t.Context(), func(tx *Tx) error { return tx.Put(keyAt("a"), nil) }) },
		"watch": func() error {
			for _, err := range ns.Watch(t.Context(), WatchOptions{}) {
				return err
			}
			return nil
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) { wantIs(t, call(), ErrClosed) })
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, o := range []Options{
		{MaxSkew: -1}, {BufferedSync: -1}, {CacheBytes: -1}, {MemTableBytes: -1},
		{Peers: []string{"host:1", ""}}, {Peers: []string{"host:abc"}},
	} {
		o.FS = vfs.NewMem()
		_, err := Open("db", o)
		wantIs(t, err, ErrOptions)
		if files, _ := o.FS.List("/"); len(files) > 0 {
			t.Errorf("made %v", files)
		}
	}
}

func TestScansMayCloseTheDatabase(t *testing.T) {
	ns := openNamespace(t)
	for i := range 3 * scanChunk {
		put(t, ns, "v", fmt.Sprintf("k%04d", i))
	}
	err := ns.View(context.Background(), func(v *View) error {
		n := 0
		for _, err := range v.Scan(crdt.AllKeys) {
			if err != nil {
				return err
			}
			if n++; n == scanChunk {
				if err := ns.db.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		return nil
	})
	wantIs(t, err, ErrClosed)
}
