package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/crashdisk"
)

// checkedStore returns a disk with a namespace that holds transactions of two
// runs and a delta of another node.
func checkedStore(t *testing.T) (vfs.FS, Options) {
	t.Helper()
	fs := vfs.NewMem()
	node := func(n byte) Options {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
		return Options{
			FS: fs, Node: crdt.NodeID(key.Public().(ed25519.PublicKey)),
			Sign: func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil },
		}
	}
	write := func(dir string, o Options, keys ...string) *Store {
		s, err := Open(dir, o)
		ok(t, err)
		ns, err := s.Create("things")
		ok(t, err)
		for _, k := range keys {
			_, err := ns.Commit(&Write{Ops: []Op{{Key: testKey(k), Value: []byte(k)}, {Key: testKey("both"), Value: []byte(k)}}})
			ok(t, err)
		}
		return s
	}
	o, peer := node(1), node(2)
	ok(t, write("db", o, "a", "b").Close())
	s, p := write("db", o, "c"), write("peer", peer, "d", "e")
	ns, err := s.Namespace("things")
	ok(t, err)
	from, err := p.Namespace("things")
	ok(t, err)
	snap, err := from.Snapshot()
	ok(t, err)
	news, err := from.WriterRecords(snap.Past().Since(&crdt.Past{}))
	ok(t, errors.Join(err, ns.Learn(news)))
	in := ns.Begin()
	for e, err := range snap.Changes(nil) {
		ok(t, err)
		ok(t, in.Add(e))
	}
	_, err = in.Finish(snap.Vector(), nil)
	ok(t, err)
	ok(t, snap.Close())
	ok(t, s.Check(context.Background()))
	ok(t, errors.Join(s.Close(), p.Close()))
	return fs, o
}

func testKey(name string) crdt.Key {
	k, err := crdt.MakeKey([]string{name}, crdt.TypeRegister, "")
	if err != nil {
		panic(err)
	}
	return k
}

// TestCheckFindsWhatDoesNotAgree changes single keys under a store.
func TestCheckFindsWhatDoesNotAgree(t *testing.T) {
	part := func(p byte) prefix { return makePrefix(spaceNamespace, 1, p) }
	own := part(partOwn)
	one := func(w uint64) []byte { return appendNumber(nil, w) }
	for _, tc := range []struct {
		name   string
		key    []byte
		value  []byte // nil deletes
		reopen bool   // after the change
		want   string
	}{
		{"log entry gone", part(partLog).logged(nil, 1, 1), nil, false, "which is not in the log"},
		{"log entry of no transaction", part(partLog).logged(nil, 2, 9), []byte{logFormat, 0x90}, false, "is beyond the vector"},
		{"log entry of no writer", part(partLog).logged(nil, 77, 1), []byte{logFormat, 0x90}, false, "is beyond the vector"},
		{"log entry unreadable", part(partLog).logged(nil, 1, 1), []byte{logFormat, 0xc1}, false, "log key"},
		{"log entry of a key too many", part(partLog).logged(nil, 1, 1),
			logValue(testKey("c"), testKey("c"), testKey("both")), false, "the log finds"},
		{"vector behind", part(partVector).indexed(nil, 2), one(1), true, "which the vector does not cover"},
		{"vector without an entry", part(partVector).indexed(nil, 2), nil, true, "which the vector does not cover"},
		{"vector not as shown", part(partVector).indexed(nil, 2), one(3), false, "the next open would find"},
		{"last run forgotten", own[:], nil, true, "which the vector does not cover"},
		{"record unreadable", part(partRecord).record(nil, testKey("a")), []byte{9}, false, "unknown format 9"},
		{"key of no namespace", makePrefix(spaceNamespace, 7, partRecord).record(nil, testKey("a")), []byte{1}, false, "a namespace that is not there"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs, o := checkedStore(t)
			s, err := Open("db", o)
			ok(t, err)
			_, err = s.Namespace("things")
			ok(t, err)
			tamper(t, s, tc.key, tc.value)
			if tc.reopen {
				ok(t, s.Close())
				o.FS = fs
				s, err = Open("db", o)
				ok(t, err)
			}
			err = s.Check(context.Background())
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want an error that says %q", err, tc.want)
			}
			must(t, s.Close(), ErrDamaged)
			o.FS = fs
			_, err = Open("db", o)
			must(t, err, ErrDamaged)
		})
	}
}

// TestEntriesThatOthersImplyGo: they say nothing, and an older release wrote all
// of them.
func TestEntriesThatOthersImplyGo(t *testing.T) {
	entries := makePrefix(spaceNamespace, 1, partVector)
	fs, o := checkedStore(t)
	for _, value := range [][]byte{appendNumber(nil, 1), appendNumber(nil, 2)} {
		s, err := Open("db", o)
		ok(t, err)
		ns, err := s.Namespace("things")
		ok(t, err)
		want := ns.Visible()
		tamper(t, s, entries.indexed(nil, 0), value)
		ok(t, s.Close())
		o.FS = fs
		s, err = Open("db", o)
		ok(t, err)
		ns, err = s.Namespace("things")
		ok(t, err)
		if got := ns.Visible(); !got.Expand().Equal(want.Expand()) {
			t.Errorf("the vector is %v, was %v", got.Expand(), want.Expand())
		}
		if _, closer, err := s.engine.DB.Get(entries.indexed(nil, 0)); !errors.Is(err, pebble.ErrNotFound) {
			t.Errorf("the entry is still there: %v, %v", closer, err)
		}
		ok(t, errors.Join(s.Check(context.Background()), s.Close()))
	}
}

func logValue(keys ...crdt.Key) []byte {
	b := crdt.AppendArray([]byte{logFormat}, len(keys))
	for _, k := range keys {
		b = crdt.AppendBytes(b, []byte(k))
	}
	return b
}

// tamper changes a key, and fails the test if that changes nothing.
func tamper(t *testing.T, s *Store, key, value []byte) {
	t.Helper()
	old, closer, err := s.engine.DB.Get(key)
	if err == nil {
		same := value != nil && bytes.Equal(old, value)
		ok(t, closer.Close())
		if same {
			t.Fatal("there already")
		}
	} else if value == nil {
		t.Fatalf("there is no key %x: %v", key, err)
	}
	if value == nil {
		ok(t, s.engine.DB.Delete(key, pebble.Sync))
	} else {
		ok(t, s.engine.DB.Set(key, value, pebble.Sync))
	}
}

func TestCheckSaysNoMoreThanAReaderTakesIn(t *testing.T) {
	_, o := checkedStore(t)
	s, err := Open("db", o)
	ok(t, err)
	for seq := range uint64(100) {
		tamper(t, s, makePrefix(spaceNamespace, 1, partLog).logged(nil, 50, seq+1), logValue())
	}
	err = s.Check(context.Background())
	if n := strings.Count(fmt.Sprint(err), "beyond the vector"); n != maxProblems {
		t.Errorf("%d problems are listed", n)
	}
	must(t, s.Close(), ErrHalted, ErrDamaged)
}

func TestCheckEndsWithItsContext(t *testing.T) {
	_, o := checkedStore(t)
	s, err := Open("db", o)
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, s.Check(ctx), context.Canceled)
	ok(t, s.Close())
	must(t, s.Check(context.Background()), ErrClosed)
}

// A system that does not let a check read says nothing of the store.
func TestWhatACheckMayNotReadIsNoDamage(t *testing.T) {
	var refuse atomic.Pointer[error] // Pebble opens tables by itself, too
	mem := filledNode(t)
	fs := crashdisk.Hook(mem, func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".sst") && op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			if err := refuse.Load(); err != nil {
				return *err
			}
		}
		return nil
	})
	o := repairOptions(fs, 1)
	o.CacheBytes = 1
	s, err := Open("db", o)
	ok(t, err)
	tooMany, sick := error(syscall.EMFILE), error(syscall.EIO)
	refuse.Store(&tooMany)
	if err := s.Check(t.Context()); !errors.Is(err, tooMany) || errors.Is(err, ErrDamaged) {
		t.Errorf("a check that may not open a file: %v", err)
	}
	ok(t, s.Health())
	refuse.Store(&sick)
	if err := s.Check(t.Context()); !errors.Is(err, sick) || !errors.Is(err, ErrDamaged) {
		t.Errorf("a check of a file that cannot be read: %v", err)
	}
	refuse.Store(nil)
	if err := s.Close(); !errors.Is(err, ErrHalted) {
		t.Errorf("close: %v", err)
	}
}
