package store_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// Each benchmark runs ours and the raw Pebble below it in turns, on disks of
// their own, and reports how many times the raw rate ours is (x/raw): on a
// shared machine only that means anything.

const (
	benchKeys  = 100_000
	benchValue = 100
	logValue   = 24 // what a log entry of ours takes
)

// rival is two ways to do the same, n operations at a time.
type rival struct {
	prepare   func() // before each turn, not timed; nil: nothing
	ours, raw func(n int)
}

// race runs b.N operations of each in turns of n, and reports the medians of
// the turns.
func (r rival) race(b *testing.B, n int) {
	var ours, raw []float64 // ns/op, by turn
	timed := func(f func(int)) float64 {
		start := time.Now()
		f(n)
		return float64(time.Since(start).Nanoseconds()) / float64(n)
	}
	b.ResetTimer()
	for left := b.N; left > 0; left -= n {
		if r.prepare != nil {
			r.prepare()
		}
		ours = append(ours, timed(r.ours))
		raw = append(raw, timed(r.raw))
	}
	b.StopTimer()
	slices.Sort(ours)
	slices.Sort(raw)
	mine, theirs := ours[len(ours)/2], raw[len(raw)/2]
	b.ReportMetric(mine, "ns/op")
	b.ReportMetric(theirs, "raw-ns/op")
	b.ReportMetric(theirs/mine, "x/raw")
}

func benchNamespace(b *testing.B, n int) *store.Namespace {
	f := &fleet{t: b}
	o := f.options(n, nil)
	o.Now = nil
	s, err := store.Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return create(b, s)
}

func benchRaw(b *testing.B) *pebble.DB {
	db, closeDB, err := store.OpenRaw(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeDB() })
	return db
}

// shuffled counts through 0..benchKeys-1 in an order that is not the keys'.
type shuffled uint64

func (s *shuffled) next() uint64 { *s += 61_803; return uint64(*s) % benchKeys }

func benchKeysOf() (keys []crdt.Key) {
	for i := range benchKeys {
		keys = append(keys, numbered(i))
	}
	return keys
}

// putRaw writes two keys in one batch: the size of a record and of a log
// entry of ours.
func putRaw(db *pebble.DB, k crdt.Key, seq uint64, o *pebble.WriteOptions) error {
	b := db.NewBatch()
	defer b.Close()
	var logKey [18]byte
	binary.BigEndian.PutUint64(logKey[10:], seq)
	logKey[0] = 1
	var value [benchValue]byte
	if err := b.Set([]byte(k), value[:], nil); err != nil {
		return err
	}
	if err := b.Set(logKey[:], value[:logValue], nil); err != nil {
		return err
	}
	return db.Apply(b, o)
}

func BenchmarkPutBuffered(b *testing.B) {
	ns, db, keys := benchNamespace(b, 1), benchRaw(b), benchKeysOf()
	value := make([]byte, benchValue)
	var at, rawAt shuffled
	w := &store.Write{Ops: make([]store.Op, 1), Buffered: true}
	rival{
		ours: func(n int) {
			for range n {
				w.Ops[0] = store.Op{Key: keys[at.next()], Value: value}
				if _, err := ns.Commit(w); err != nil {
					b.Fatal(err)
				}
			}
		},
		raw: func(n int) {
			for range n {
				i := rawAt.next()
				if err := putRaw(db, keys[i], uint64(rawAt), pebble.NoSync); err != nil {
					b.Fatal(err)
				}
			}
		},
	}.race(b, 5000)
}

func BenchmarkPutDurable(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			ns, db, keys := benchNamespace(b, 1), benchRaw(b), benchKeysOf()
			value := make([]byte, benchValue)
			parallel := func(put func(k crdt.Key, seq uint64) error) func(int) {
				return func(n int) {
					var all sync.WaitGroup
					for w := range writers {
						all.Go(func() {
							at := shuffled(w * 1000)
							for range (n + writers - 1) / writers {
								if err := put(keys[at.next()], uint64(at)); err != nil {
									b.Error(err)
								}
							}
						})
					}
					all.Wait()
				}
			}
			rival{
				ours: parallel(func(k crdt.Key, _ uint64) error {
					_, err := ns.Commit(&store.Write{Ops: []store.Op{{Key: k, Value: value}}})
					return err
				}),
				raw: parallel(func(k crdt.Key, seq uint64) error { return putRaw(db, k, seq, pebble.Sync) }),
			}.race(b, 100*writers)
		})
	}
}

// deltaRecords is how many records the deltas of the benchmark have.
const deltaRecords = 500

func BenchmarkApplyFastForward(b *testing.B) {
	from, to, db, keys := benchNamespace(b, 1), benchNamespace(b, 2), benchRaw(b), benchKeysOf()
	value := make([]byte, benchValue)
	var at, rawAt shuffled
	var next delta
	told := crdt.Vector{}
	made := func() delta {
		for range deltaRecords {
			commit(b, from, store.Op{Key: keys[at.next()], Value: value})
		}
		d := deltaOf(b, from, told)
		told = from.Vector()
		return d
	}
	raw := func() error {
		batch := db.NewBatch()
		defer batch.Close()
		var logKey [18]byte
		logKey[0] = 1
		for range deltaRecords {
			k := keys[rawAt.next()]
			binary.BigEndian.PutUint64(logKey[10:], uint64(rawAt))
			if err := batch.Set([]byte(k), value, nil); err != nil {
				return err
			}
			if err := batch.Set(logKey[:], value[:logValue], nil); err != nil {
				return err
			}
		}
		return db.Apply(batch, pebble.NoSync)
	}
	rival{
		prepare: func() { next = made() },
		ours: func(int) {
			if done := next.apply(b, to); done.Read > 0 {
				b.Fatalf("a fast-forward read: %+v", done)
			}
		},
		raw: func(int) {
			if err := raw(); err != nil {
				b.Fatal(err)
			}
		},
	}.race(b, 1)
}
