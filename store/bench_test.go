package store_test

import (
	"encoding/binary"
	"errors"
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
		if len(ours)%2 == 0 {
			ours = append(ours, timed(r.ours))
			raw = append(raw, timed(r.raw))
		} else {
			raw = append(raw, timed(r.raw))
			ours = append(ours, timed(r.ours))
		}
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
	o.Now, o.Random = nil, nil
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
			}.race(b, 20*writers)
		})
	}
}

// deltaRecords is how many records the deltas of the benchmark have.
const deltaRecords = 500

// deltaOfKeys commits the next records of from and returns them as a delta.
func deltaOfKeys(b *testing.B, from *store.Namespace, keys []crdt.Key, at *shuffled, told crdt.Vector) delta {
	for range deltaRecords {
		commit(b, from, store.Op{Key: keys[at.next()], Value: make([]byte, benchValue)})
	}
	return deltaOf(b, from, told)
}

// putBatch writes as many records as a delta has, and their log entries, in
// one batch; each is read before, if so asked.
func putBatch(db *pebble.DB, keys []crdt.Key, at *shuffled, read bool) error {
	batch := db.NewBatch()
	defer batch.Close()
	var logKey [18]byte
	logKey[0] = 1
	value := make([]byte, benchValue)
	for range deltaRecords {
		k := keys[at.next()]
		if read {
			_, closer, err := db.Get([]byte(k))
			if err == nil {
				closer.Close()
			}
		}
		binary.BigEndian.PutUint64(logKey[10:], uint64(*at))
		err := errors.Join(batch.Set([]byte(k), value, nil), batch.Set(logKey[:], value[:logValue], nil))
		if err != nil {
			return err
		}
	}
	return db.Apply(batch, pebble.NoSync)
}

// BenchmarkApplyFastForward is of deltas of 500 records to a peer that wrote
// nothing itself.
func BenchmarkApplyFastForward(b *testing.B) {
	from, to, db, keys := benchNamespace(b, 1), benchNamespace(b, 2), benchRaw(b), benchKeysOf()
	var at, rawAt shuffled
	var next delta
	rival{
		prepare: func() { next = deltaOfKeys(b, from, keys, &at, to.Vector()) },
		ours: func(int) {
			if done := next.apply(b, to); done.Read > 0 {
				b.Fatalf("a fast-forward read: %+v", done)
			}
		},
		raw: func(int) {
			if err := putBatch(db, keys, &rawAt, false); err != nil {
				b.Fatal(err)
			}
		},
	}.race(b, 1)
}

// BenchmarkApplyBothWrote is of deltas of 500 records to a peer that wrote the
// same 500 meanwhile.
func BenchmarkApplyBothWrote(b *testing.B) {
	from, to, db, keys := benchNamespace(b, 1), benchNamespace(b, 2), benchRaw(b), benchKeysOf()
	var at, toAt, rawAt shuffled
	var next delta
	rival{
		prepare: func() {
			pull(b, from, to)
			next = deltaOfKeys(b, from, keys, &at, to.Vector())
			for range deltaRecords {
				commit(b, to, store.Op{Key: keys[toAt.next()], Value: make([]byte, benchValue)})
			}
		},
		ours: func(int) {
			if done := next.apply(b, to); done.Read != deltaRecords {
				b.Fatalf("it read %+v", done)
			}
		},
		raw: func(int) {
			if err := putBatch(db, keys, &rawAt, true); err != nil {
				b.Fatal(err)
			}
		},
	}.race(b, 1)
}

// filled returns a namespace with benchKeys records, and a raw Pebble with
// values of the same size, both flushed.
func filled(b *testing.B) (*store.Namespace, *pebble.DB, []crdt.Key) {
	f := &fleet{t: b}
	o := f.options(1, nil)
	o.Now = nil
	s, err := store.Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	ns, db, keys := create(b, s), benchRaw(b), benchKeysOf()
	for chunk := range slices.Chunk(keys, 1000) {
		var ops []store.Op
		batch := db.NewBatch()
		for _, k := range chunk {
			ops = append(ops, store.Op{Key: k, Value: make([]byte, benchValue)})
			if err := batch.Set([]byte(k), make([]byte, benchValue+20), nil); err != nil {
				b.Fatal(err)
			}
		}
		commit(b, ns, ops...)
		if err := db.Apply(batch, pebble.NoSync); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(s.Flush(), db.Flush()); err != nil {
		b.Fatal(err)
	}
	return ns, db, keys
}

func BenchmarkGet(b *testing.B) {
	ns, db, keys := filled(b)
	s := snapshot(b, ns)
	defer s.Close()
	var at, rawAt shuffled
	rival{
		ours: func(n int) {
			for range n {
				if rec, err := s.Get(keys[at.next()]); err != nil || len(rec) != 1 {
					b.Fatal(rec, err)
				}
			}
		},
		raw: func(n int) {
			for range n {
				_, closer, err := db.Get([]byte(keys[rawAt.next()]))
				if err != nil {
					b.Fatal(err)
				}
				closer.Close()
			}
		},
	}.race(b, 2000)
}

// BenchmarkScan is of one scan of all records.
func BenchmarkScan(b *testing.B) {
	ns, db, _ := filled(b)
	s := snapshot(b, ns)
	defer s.Close()
	count := func(n int, err error) {
		if err != nil || n != benchKeys {
			b.Fatal(n, err)
		}
	}
	rival{
		ours: func(int) {
			n := 0
			for _, err := range s.Scan(crdt.AllKeys) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			count(n, nil)
		},
		raw: func(int) {
			it, err := db.NewIter(nil)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for ok := it.First(); ok; ok = it.Next() {
				if len(it.Value()) > 0 {
					n++
				}
			}
			count(n, it.Close())
		},
	}.race(b, 1)
}

// BenchmarkChanges is of all changes of a tenth of the records, against
// reading as many at random.
func BenchmarkChanges(b *testing.B) {
	ns, db, keys := filled(b)
	since := ns.Vector()
	var at, rawAt shuffled
	const changed = benchKeys / 10
	for range changed {
		commit(b, ns, store.Op{Key: keys[at.next()], Value: make([]byte, benchValue)})
	}
	s := snapshot(b, ns)
	defer s.Close()
	rival{
		ours: func(int) {
			n := 0
			for _, err := range s.Changes(ns.Past(since)) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != changed {
				b.Fatal(n)
			}
		},
		raw: func(int) {
			for range changed {
				_, closer, err := db.Get([]byte(keys[rawAt.next()]))
				if err != nil {
					b.Fatal(err)
				}
				closer.Close()
			}
		},
	}.race(b, 1)
}
