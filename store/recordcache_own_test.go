package store_test

import (
	"encoding/binary"
	"errors"
	"reflect"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

func pinOf(t testing.TB, ns *store.Namespace) store.Pin {
	t.Helper()
	p, err := ns.Pin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return p
}

// heat has keys be cached.
func heat(t testing.TB, ns *store.Namespace, keys ...crdt.Key) {
	t.Helper()
	p := pinOf(t, ns)
	for _, k := range keys {
		for range 3 {
			if _, _, err := readPin(p, k); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// onDisk returns what a scan reads, which goes by no cache.
func onDisk(t testing.TB, ns *store.Namespace, k crdt.Key) crdt.Record {
	t.Helper()
	s := snapshot(t, ns)
	defer s.Close()
	for e, err := range s.Scan(crdt.Span{From: k, To: k + "\x00"}) {
		if err != nil {
			t.Fatal(err)
		}
		return e.Record
	}
	return nil
}

func TestWhatIsReadBetweenOwnWritesStaysCached(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	k, other := numbered(1), numbered(2)
	commit(t, ns, set(k, "a"), set(other, "a"))
	heat(t, ns, k, other)
	for name, op := range map[string]store.Op{
		"value": set(k, "b"), "empty value": set(k, ""), "no value": {Key: k},
		"long value": set(k, string(make([]byte, 100))),
		"removal":    {Key: k, Removed: true}, "expiring": {Key: k, Value: []byte("c"), Expires: 1 << 40},
	} {
		old, reads := pinOf(t, ns), ns.Reads()
		was, _ := old.Cached(k)
		commit(t, ns, set(other, "b"), op)
		if rec, ok := old.Cached(k); ok && !reflect.DeepEqual(rec, was) {
			t.Errorf("%s: a pin of before finds %+v", name, rec)
		}
		rec, ok := pinOf(t, ns).Cached(k)
		if want := onDisk(t, ns, k); !ok || !reflect.DeepEqual(rec, want) {
			t.Errorf("%s: cached (%v) is\n%#v\non disk is\n%#v", name, ok, rec, want)
		}
		if n := ns.Reads() - reads; n != 0 {
			t.Errorf("%s: %d records were read", name, n)
		}
	}
}

func TestACachedRecordThatIsOnlyWrittenLeaves(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	k := numbered(1)
	commit(t, ns, set(k, "a"))
	heat(t, ns, k)
	for range 20 {
		commit(t, ns, set(k, "b"))
	}
	if _, ok := pinOf(t, ns).Cached(k); ok {
		t.Error("after 20 writes with no read it is cached")
	}
}

func TestAGroupOfCommitsLeavesTheLastInTheCache(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	k, other := numbered(1), numbered(2)
	commit(t, ns, set(k, "a"), set(other, "a"))
	heat(t, ns, k, other)
	for _, group := range [][][]store.Op{
		{{set(k, "b")}, {set(other, "b")}, {set(k, "c")}},
		{{set(k, "d")}, {set(k, "e")}, {set(other, "c")}},
	} {
		ns.CommitGroup(t, group...)
		for _, k := range []crdt.Key{k, other} {
			rec, ok := pinOf(t, ns).Cached(k)
			if want := onDisk(t, ns, k); !ok || !reflect.DeepEqual(rec, want) {
				t.Errorf("cached (%v) is\n%+v\non disk is\n%+v", ok, rec, want)
			}
		}
	}
}

func TestACommitThatFailedLeavesNothingInTheCache(t *testing.T) {
	ns := (&fleet{t: t}).openNamespace(0, vfs.NewMem())
	k := numbered(1)
	commit(t, ns, set(k, "a"))
	heat(t, ns, k)
	ns.FailCommit(&store.Write{Ops: []store.Op{set(k, "b")}})
	if rec, _, err := readPin(pinOf(t, ns), k); err != nil || string(rec[0].Value) != "a" {
		t.Errorf("read %v, %v", rec, err)
	}
	commit(t, ns, set(numbered(2), "b")) // it has the number of the one that failed
	if rec, _, err := readPin(pinOf(t, ns), k); err != nil || string(rec[0].Value) != "a" {
		t.Errorf("read %v, %v", rec, err)
	}
}

// addOne reads a number, and writes it with one more, until that does not
// conflict.
func addOne(ns *store.Namespace, k crdt.Key) error {
	for {
		p, err := ns.Pin()
		if err != nil {
			return err
		}
		rec, _, err := readPin(p, k)
		n := p.Number()
		p.Release()
		if err != nil {
			return err
		}
		value, reads := make([]byte, 8), &store.ReadSet{}
		for i := range rec { // of siblings the sum, which no other write loses
			binary.BigEndian.PutUint64(value, binary.BigEndian.Uint64(value)+binary.BigEndian.Uint64(rec[i].Value))
		}
		binary.BigEndian.PutUint64(value, binary.BigEndian.Uint64(value)+1)
		reads.Key(k)
		_, err = ns.Commit(&store.Write{Ops: []store.Op{{Key: k, Value: value}}, Reads: reads, Snapshot: n, Buffered: true})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// Several goroutines add to few numbers while deltas are applied, and a record is
// written here and at a peer in turn: what anybody finds in the cache is what is
// there, or an add would be lost.
func TestAddsToHotNumbersBesideDeltasLoseNone(t *testing.T) {
	const keys, adders, adds, deltas = 3, 3, 400, 60
	f := &fleet{t: t}
	open := func(n int) *store.Namespace {
		o := f.options(n, vfs.NewMem())
		o.Now, o.Random = nil, nil // those of the fleet are for one goroutine
		return create(t, f.openWith(o))
	}
	ns, peer := open(0), open(1)
	var all sync.WaitGroup
	for range adders {
		all.Go(func() {
			for i := range adds {
				if err := addOne(ns, numbered(i%keys)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range deltas {
		pull(t, peer, ns)
		commit(t, peer, set(numbered(9), "of the peer"))
		pull(t, ns, peer)
		if rec, _, err := readPin(pinOf(t, ns), numbered(9)); err != nil || string(rec.Winner().Value) != "of the peer" {
			t.Errorf("read %v, %v", rec, err)
		}
		commit(t, ns, set(numbered(9), "own"))
	}
	all.Wait()
	sum := uint64(0)
	for k := range keys {
		rec, _, err := readPin(pinOf(t, ns), numbered(k))
		if want := onDisk(t, ns, numbered(k)); err != nil || !reflect.DeepEqual(rec, want) {
			t.Errorf("read\n%+v, %v\non disk is\n%+v", rec, err, want)
		}
		sum += binary.BigEndian.Uint64(rec[0].Value)
	}
	if sum != adders*adds {
		t.Errorf("of %d adds %d are left", adders*adds, sum)
	}
}
