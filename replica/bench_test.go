package replica

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// The benchmarks alternate between us and bare Pebble in one run, and report
// "of-raw": our throughput over Pebble's. Only that figure means anything on
// a shared machine.

const (
	benchKeys  = 100_000
	benchValue = 100 // bytes
)

// rawStore is Pebble as the store configures it.
func rawStore(b *testing.B) *pebble.DB {
	b.Helper()
	cache := pebble.NewCache(16 << 20)
	defer cache.Unref()
	db, err := pebble.Open(b.TempDir(), &pebble.Options{
		Cache: cache, MemTableSize: 4 << 20, FormatMajorVersion: pebble.FormatValueSeparation,
		Logger: quiet{},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func benchNamespace(b *testing.B) *Namespace {
	b.Helper()
	db, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	ns, err := db.Namespace("bench")
	if err != nil {
		b.Fatal(err)
	}
	return ns
}

// against runs raw and ours in turns, b.N times each, on so many goroutines.
func against(b *testing.B, workers int, raw, ours func(rnd *rand.Rand) error) {
	b.Helper()
	const turn = 512
	var spent [2]time.Duration
	run := func(n int, fn func(*rand.Rand) error) time.Duration {
		var wg sync.WaitGroup
		start := time.Now()
		for w := range workers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(n), uint64(w)))
				for range (n + workers - 1) / workers {
					if err := fn(rnd); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	b.ResetTimer()
	for done := 0; done < b.N; done += turn {
		n := min(turn, b.N-done)
		spent[0] += run(n, raw)
		spent[1] += run(n, ours)
	}
	b.StopTimer()
	b.ReportMetric(float64(spent[1].Nanoseconds())/float64(b.N), "ours-ns/op")
	b.ReportMetric(float64(spent[0].Nanoseconds())/float64(b.N), "raw-ns/op")
	b.ReportMetric(spent[0].Seconds()/spent[1].Seconds(), "of-raw")
	b.ReportMetric(0, "ns/op") // that of both together means nothing
}

// rawPut commits a batch of a record and a log entry, as a local put is one.
func rawPut(db *pebble.DB, sync bool) func(*rand.Rand) error {
	var seq atomic.Uint64
	return func(rnd *rand.Rand) error {
		key := binary.BigEndian.AppendUint64(make([]byte, 0, 24), rnd.Uint64N(benchKeys))
		key = append(key, "-of-size"...)
		log := binary.BigEndian.AppendUint64(make([]byte, 0, 16), seq.Add(1))
		value := make([]byte, benchValue+24)
		batch := db.NewBatch()
		defer batch.Close()
		if err := batch.Set(key, value, nil); err != nil {
			return err
		}
		if err := batch.Set(append([]byte("log-"), log...), key, nil); err != nil {
			return err
		}
		o := pebble.NoSync
		if sync {
			o = pebble.Sync
		}
		return batch.Commit(o)
	}
}

func benchKey(rnd *rand.Rand) crdt.Key { return keyAt(fmt.Sprintf("%016d", rnd.Uint64N(benchKeys))) }

// oursSet writes a register blind.
func oursSet(b *testing.B, ns *Namespace, buffered bool) func(*rand.Rand) error {
	value := make([]byte, benchValue)
	handles := make([]crdt.Register[[]byte], benchKeys)
	for i := range handles {
		handles[i] = crdt.NewRegister[[]byte](fmt.Sprintf("%016d", i))
	}
	ctx := b.Context()
	return func(rnd *rand.Rand) error {
		r := &handles[rnd.Uint64N(benchKeys)]
		return ns.UpdateWith(ctx, UpdateOptions{Buffered: buffered}, func(tx *Tx) error { return r.Set(tx, value) })
	}
}

func BenchmarkSet(b *testing.B) {
	b.Run("buffered", func(b *testing.B) {
		against(b, 1, rawPut(rawStore(b), false), oursSet(b, benchNamespace(b), true))
	})
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("durable/%d", writers), func(b *testing.B) {
			against(b, writers, rawPut(rawStore(b), true), oursSet(b, benchNamespace(b), false))
		})
	}
}

// BenchmarkCounterAdd adds to a thousand hot counters.
func BenchmarkCounterAdd(b *testing.B) {
	const counters = 1000
	ns := benchNamespace(b)
	handles := make([]crdt.Counter, counters)
	for i := range handles {
		handles[i] = crdt.NewCounter("counter", fmt.Sprint(i))
	}
	ctx := b.Context()
	against(b, 1, rawPut(rawStore(b), false), func(rnd *rand.Rand) error {
		c := &handles[rnd.IntN(counters)]
		return ns.UpdateWith(ctx, UpdateOptions{Buffered: true}, func(tx *Tx) error { return c.Add(tx, 1) })
	})
}

// BenchmarkRead reads one register of many, each in a view of its own, and
// all in one view.
func BenchmarkRead(b *testing.B) {
	ns, raw := benchNamespace(b), rawStore(b)
	fill(b, ns, raw)
	get := func(rnd *rand.Rand) error {
		_, closer, err := raw.Get([]byte(benchKey(rnd)))
		if err != nil {
			return err
		}
		return closer.Close()
	}
	ctx := b.Context()
	b.Run("view", func(b *testing.B) {
		against(b, 1, get, func(rnd *rand.Rand) error {
			return ns.View(ctx, func(v *View) error {
				_, err := v.Get(benchKey(rnd))
				return err
			})
		})
	})
	b.Run("get", func(b *testing.B) {
		_ = ns.View(ctx, func(v *View) error {
			against(b, 1, get, func(rnd *rand.Rand) error { _, err := v.Get(benchKey(rnd)); return err })
			return nil
		})
	})
}

// fill writes all keys to both.
func fill(b *testing.B, ns *Namespace, raw *pebble.DB) {
	b.Helper()
	value := make([]byte, benchValue)
	for from := 0; from < benchKeys; from += 1000 {
		err := ns.UpdateWith(b.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
			for i := range 1000 {
				k := keyAt(fmt.Sprintf("%016d", from+i))
				if err := tx.Put(k, value); err != nil {
					return err
				}
				if err := raw.Set([]byte(k), value, pebble.NoSync); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkScan reads all records, and reports keys per second over Pebble's.
func BenchmarkScan(b *testing.B) {
	ns, raw := benchNamespace(b), rawStore(b)
	fill(b, ns, raw)
	var spent [2]time.Duration
	for b.Loop() {
		start := time.Now()
		it, err := raw.NewIter(nil)
		if err != nil {
			b.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			if _, err := it.ValueAndErr(); err != nil {
				b.Fatal(err)
			}
		}
		it.Close()
		spent[0] += time.Since(start)
		start = time.Now()
		err = ns.View(b.Context(), func(v *View) error {
			for _, err := range v.Scan(crdt.AllKeys) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		spent[1] += time.Since(start)
	}
	b.ReportMetric(spent[0].Seconds()/spent[1].Seconds(), "of-raw")
	b.ReportMetric(float64(benchKeys*b.N)/spent[1].Seconds(), "keys/s")
}
