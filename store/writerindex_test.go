package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
)

// family draws writer records, each after its parents, and their numbers.
type family struct {
	random *rand.Rand
	recs   []*crdt.WriterRecord
	next   uint32
}

func (f *family) record() (uint32, *crdt.WriterRecord) {
	rec := &crdt.WriterRecord{Node: crdt.NodeID{byte(f.random.IntN(3))}, Namespace: "things"}
	binary.BigEndian.PutUint64(rec.Writer[:], f.random.Uint64()>>f.random.IntN(40)) // some heads are alike
	binary.BigEndian.PutUint32(rec.Writer[12:], uint32(len(f.recs)+1))
	for _, old := range slices.Backward(f.recs) {
		if many := f.random.IntN(8) == 0; old.Node == rec.Node && (many || len(rec.Parents) == 0) {
			rec.Parents = append(rec.Parents, crdt.Dot{Writer: old.Writer, Seq: 1 + f.random.Uint64()>>f.random.IntN(64)})
			if !many || len(rec.Parents) == 4 {
				break
			}
		}
	}
	slices.SortFunc(rec.Parents, crdt.Dot.Compare)
	for i := range rec.Parents {
		rec.Parents[i].Seq = max(rec.Parents[i].Seq, 1)
	}
	f.recs = append(f.recs, rec)
	if f.random.IntN(50) == 0 {
		f.next += uint32(f.random.IntN(5)) // numbers of commits that failed
	}
	f.next++
	return f.next - 1, rec
}

// save puts n records onto disk, as commits and applies do.
func (f *family) save(t tb, s *Store, n int) {
	b := s.engine.DB.NewBatch()
	defer b.Close()
	for range n {
		number, rec := f.record()
		ok(t, b.Set(makePrefix(spaceNamespace, 1, partWriter).indexed(nil, number), appendWriterRecord(nil, rec), nil))
	}
	ok(t, s.engine.DB.Apply(b, pebble.Sync))
}

// checkIndex compares what a namespace loaded with what it would load from the
// records alone, and the index on disk with what it would be then.
func checkIndex(t tb, ns *Namespace) {
	t.Helper()
	var want lineage
	db := ns.store.engine.DB
	ok(t, want.load(db, ns.writers, makePrefix(spaceNamespace, ns.number, 0xf0)))
	l := &ns.lineage
	if !slices.Equal(l.numbers, want.numbers) || !slices.Equal(*l.table.Load(), *want.table.Load()) {
		t.Fatalf("%d writers have other numbers than their records' %d", len(l.numbers), len(want.numbers))
	}
	for i := range want.known.Len() {
		got, want := l.known.Placed(i), want.known.Placed(i)
		if !reflect.DeepEqual(got, want) || l.known.Index(got.Writer) != i {
			t.Fatalf("at %d there is %+v, want %+v", i, got, want)
		}
	}
	blocks := 0
	ok(t, scanIndex(db, ns.index, func(k, _ int, block []byte) error {
		if blocks++; !bytes.Equal(block, want.appendIndexBlock(nil, k)) {
			t.Fatalf("block %d is not what the records say", k)
		}
		return nil
	}))
	if full := len(want.numbers) / indexBlock; blocks != full || l.indexed != full {
		t.Fatalf("%d blocks, %d by what was loaded, want %d", blocks, l.indexed, full)
	}
}

// TestTheIndexOfWritersIsWhatTheirRecordsSay: for any writers, however many came
// between one open and the next, and when blocks are gone that an older release
// did not write.
func TestTheIndexOfWritersIsWhatTheirRecordsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := Open("db", Options{FS: vfs.NewMem()})
		ok(t, err)
		defer s.Close()
		_, err = s.Create("things")
		ok(t, err)
		f := &family{random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
		for range rapid.IntRange(1, 4).Draw(t, "opens") {
			f.save(t, s, rapid.SampledFrom([]int{0, 1, 100, indexBlock, 700}).Draw(t, "new"))
			if rapid.IntRange(0, 2).Draw(t, "blocks go") == 0 {
				p := makePrefix(spaceNamespace, 1, partIndex)
				from := p.indexed(nil, uint32(rapid.IntRange(0, 2).Draw(t, "from")))
				ok(t, s.engine.DB.DeleteRange(from, p.end(), pebble.Sync))
			}
			ns, err := s.loadNamespace("things", 1)
			ok(t, err)
			checkIndex(t, ns)
			for _, rec := range f.recs {
				if got := ns.lineage.known.Parents(rec.Writer); !slices.Equal(got, rec.Parents) {
					t.Fatalf("writer %s has the parents %v, want %v", rec.Writer, got, rec.Parents)
				}
			}
		}
	})
}

// TestTheIndexOfWritersIsNotAheadOfThem cuts the power at each mutation of runs
// that make room in the log, index writers, and commit more.
func TestTheIndexOfWritersIsNotAheadOfThem(t *testing.T) {
	d := newSickDisk()
	f := &family{random: rand.New(rand.NewPCG(1, 2))}
	var mu sync.Mutex // background work mutates too
	var left []vfs.FS
	d.sicken(func(int64, errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		left = append(left, d.cut(0), d.cut(100))
		return nil
	})
	for range 3 {
		s, err := Open("db", Options{FS: d})
		ok(t, err)
		_, err = s.Create("things") // which indexes what the run before saved
		ok(t, err)
		f.save(t, s, indexBlock-50)
		ok(t, s.Close())
	}
	indexed := map[int]int{}
	for _, disk := range left {
		s, err := Open("db", Options{FS: disk})
		ok(t, err)
		if slices.Contains(s.Namespaces(), "things") {
			ok(t, scanIndex(s.engine.DB, makePrefix(spaceNamespace, 1, partIndex), func(k, _ int, _ []byte) error {
				indexed[k]++
				return nil
			}))
			ns, err := s.Namespace("things")
			ok(t, err)
			checkIndex(t, ns)
		}
		ok(t, s.Close())
	}
	if indexed[0] == 0 || indexed[0] == len(left) {
		t.Fatalf("of %d cuts %v left blocks", len(left), indexed)
	}
}

// indexedStore returns a disk with a namespace that has two blocks of an index.
func indexedStore(t *testing.T) Options {
	t.Helper()
	o := Options{FS: vfs.NewMem()}
	s, err := Open("db", o)
	ok(t, err)
	_, err = s.Create("things")
	ok(t, err)
	f := &family{random: rand.New(rand.NewPCG(3, 4))}
	f.save(t, s, 2*indexBlock+10)
	ok(t, s.Close())
	s, err = Open("db", o)
	ok(t, err)
	_, err = s.Namespace("things")
	ok(t, errors.Join(err, s.Close()))
	return o
}

// TestADamagedIndexOfWritersIsSaid: whatever is wrong with it, the namespace
// does not open, and the error says where.
func TestADamagedIndexOfWritersIsSaid(t *testing.T) {
	p := makePrefix(spaceNamespace, 1, partIndex)
	for name, tc := range map[string]struct {
		tamper func(block []byte) (key, value []byte) // of block 1
		want   string
	}{
		"a hole":           {func([]byte) ([]byte, []byte) { return p.indexed(nil, 0), nil }, "want that of block 0"},
		"a key too long":   {func(b []byte) ([]byte, []byte) { return append(p.indexed(nil, 1), 0), b }, "want that of block 2"},
		"an unknown kind":  {func(b []byte) ([]byte, []byte) { b[0]++; return p.indexed(nil, 1), b }, "block 1 of the index of writers: it has the unknown format 2"},
		"a block cut off":  {func(b []byte) ([]byte, []byte) { return p.indexed(nil, 1), b[:100] }, "block 1 of the index of writers"},
		"a block twice":    {func(b []byte) ([]byte, []byte) { return p.indexed(nil, 2), b }, "block 2 of the index of writers: invalid writer record"},
		"the last of many": {func(b []byte) ([]byte, []byte) { return p.indexed(nil, 1<<32-1), b }, "want that of block 2"},
	} {
		t.Run(name, func(t *testing.T) {
			o := indexedStore(t)
			s, err := Open("db", o)
			ok(t, err)
			defer s.Close()
			value, closer, err := s.engine.DB.Get(p.indexed(nil, 1))
			ok(t, err)
			block := slices.Clone(value)
			ok(t, closer.Close())
			key, value := tc.tamper(block)
			tamper(t, s, key, value)
			_, err = s.Namespace("things")
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want an error that says %q", err, tc.want)
			}
		})
	}
}

// sampleIndex is the lineage of a block of writers.
func sampleIndex() *lineage {
	l := &lineage{known: &crdt.Lineage{}}
	f := &family{random: rand.New(rand.NewPCG(5, 6))}
	for range indexBlock {
		n, rec := f.record()
		if err := l.known.Add(rec); err != nil {
			panic(err)
		}
		l.numbers = append(l.numbers, n+1)
	}
	return l
}

// rewriteIndex reads the first block of an index, and writes it again.
func rewriteIndex(block []byte) ([]byte, error) {
	var x indexReader
	err := x.read(block)
	if err != nil {
		return nil, err
	}
	l := &lineage{numbers: x.numbers}
	if l.known, err = x.built.Lineage(nil); err != nil {
		return nil, err
	}
	return l.appendIndexBlock(nil, 0), nil
}

const goldenIndex = "testdata/index.1.hex"

// Each release must write the blocks of the ones before it: they are compared.
func TestTheIndexOfWritersIsFrozen(t *testing.T) {
	got := hex.Dump(sampleIndex().appendIndexBlock(nil, 0))
	if flag.Lookup("rewrite").Value.String() == "true" {
		ok(t, os.WriteFile(goldenIndex, []byte(got), 0o644))
	}
	want, err := os.ReadFile(goldenIndex)
	ok(t, err)
	if got != string(want) {
		t.Errorf("a block is\n%s", got)
	}
}
