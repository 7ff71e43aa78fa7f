package store_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// tb is what testing.TB and rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// fleet makes stores of nodes whose keys, writers and clocks are fixed.
type fleet struct {
	t      tb
	clock  int64  // milliseconds, one more at each look
	random uint64 // of writer ids
}

// Read implements io.Reader: writer ids that count up.
func (f *fleet) Read(b []byte) (int, error) {
	f.random++
	clear(b)
	binary.BigEndian.PutUint64(b, f.random)
	return len(b), nil
}

func (f *fleet) now() time.Time {
	f.clock++
	return time.UnixMilli(1_700_000_000_000 + f.clock)
}

func nodeKey(n int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(n)+1)
	return ed25519.NewKeyFromSeed(seed)
}

// options returns those of node n on fs.
func (f *fleet) options(n int, fs vfs.FS) store.Options {
	key := nodeKey(n)
	return store.Options{
		FS: fs, Node: crdt.NodeID(key.Public().(ed25519.PublicKey)),
		Sign:   func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil },
		Now:    f.now,
		Random: f,
	}
}

// open opens node n's store on fs; it is closed with the test.
func (f *fleet) open(n int, fs vfs.FS) *store.Store {
	return f.openWith(f.options(n, fs))
}

func (f *fleet) openWith(o store.Options) *store.Store {
	f.t.Helper()
	s, err := store.Open("db", o)
	if err != nil {
		f.t.Fatal(err)
	}
	if t, ok := f.t.(testing.TB); ok {
		t.Cleanup(func() { s.Close() })
	}
	return s
}

// openNamespace opens node n's store on fs with a namespace.
func (f *fleet) openNamespace(n int, fs vfs.FS) *store.Namespace {
	f.t.Helper()
	return create(f.t, f.open(n, fs))
}

func create(t tb, s *store.Store) *store.Namespace {
	t.Helper()
	ns, err := s.Create("things")
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// key returns the key of a register.
func key(parts ...string) crdt.Key {
	k, err := crdt.MakeKey(parts, crdt.TypeRegister, "")
	if err != nil {
		panic(err)
	}
	return k
}

func numbered(i int) crdt.Key { return key("k", fmt.Sprintf("%08d", i)) }

func set(k crdt.Key, value string) store.Op { return store.Op{Key: k, Value: []byte(value)} }

// commit commits ops, buffered.
func commit(t tb, ns *store.Namespace, ops ...store.Op) crdt.Dot {
	t.Helper()
	d, err := ns.Commit(&store.Write{Ops: ops, Buffered: true})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func snapshot(t tb, ns *store.Namespace) *store.Snapshot {
	t.Helper()
	s, err := ns.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func snapshotNumber(t tb, ns *store.Namespace) uint64 {
	t.Helper()
	s := snapshot(t, ns)
	defer s.Close()
	return s.Number()
}

// get returns the values at k.
func get(t tb, ns *store.Namespace, k crdt.Key) (values []string) {
	t.Helper()
	s := snapshot(t, ns)
	defer s.Close()
	rec, err := s.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range rec.Visible() {
		values = append(values, string(e.Value))
	}
	return values
}

// delta is what one namespace sends another.
type delta struct {
	writers []*crdt.WriterRecord
	entries []crdt.Entry
	to      crdt.Vector
	floor   crdt.Vector
}

// deltaOf returns what a peer at from lacks of ns.
func deltaOf(t tb, ns *store.Namespace, from crdt.Vector) (d delta) {
	t.Helper()
	d, err := tryDeltaOf(t, ns, from)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func tryDeltaOf(t tb, ns *store.Namespace, from crdt.Vector) (d delta, err error) {
	t.Helper()
	s := snapshot(t, ns)
	defer s.Close()
	for e, err := range s.Changes(ns.Past(from)) {
		if err != nil {
			return d, err
		}
		d.entries = append(d.entries, e)
	}
	d.to, d.floor = s.Past().Normal(), s.Floor()
	d.writers, err = ns.WriterRecords(s.Past().Since(ns.Past(from)))
	return d, err
}

func (d delta) apply(t tb, ns *store.Namespace) store.Applied {
	t.Helper()
	done, err := d.tryApply(ns)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func (d delta) tryApply(ns *store.Namespace) (store.Applied, error) {
	return d.applyOvertaken(ns, func() {})
}

// applyOvertaken applies d with something that happens in the middle.
func (d delta) applyOvertaken(ns *store.Namespace, overtake func()) (store.Applied, error) {
	if err := ns.Learn(d.writers); err != nil {
		return store.Applied{}, err
	}
	in := ns.Begin()
	if err := in.Add(d.entries...); err != nil {
		return store.Applied{}, err
	}
	return in.FinishOvertaken(d.to, d.floor, overtake)
}

// pull brings what from has to ns.
func pull(t tb, ns, from *store.Namespace) store.Applied {
	t.Helper()
	return deltaOf(t, from, ns.Vector()).apply(t, ns)
}
