package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

// ours are Anabranch's entrants: the store, by package replica, and the same
// data in memory alone, by crdt.Replica.
func ours() []entrant {
	const store, memory = "Anabranch", "Anabranch in memory (crdt.Replica)"
	e := func(work, who, kept string, once func(*lab) (float64, error)) entrant {
		return entrant{work: work, who: who, kept: kept, ours: true, once: once}
	}
	sets := func(writers int, b bool) func(*lab) (float64, error) {
		return func(l *lab) (float64, error) { return ourSets(l, writers, b) }
	}
	return []entrant{
		e("set, 1 writer", store+", durable", durable, sets(1, false)),
		e("set, 1 writer", store+", buffered", buffered, sets(1, true)),
		e("set, 8 writers", store+", durable", durable, sets(8, false)),
		e("set, 8 writers", store+", buffered", buffered, sets(8, true)),
		e("disk after overwrites", store+", tables, log collected", durable, ourOverwrites),
		e("disk after overwrites", memory+", delta", inMemory, memoryOverwrites),
		e("document, write", store+", durable", durable, func(l *lab) (float64, error) { return ourWrite(l, false) }),
		e("document, write", store+", buffered", buffered, func(l *lab) (float64, error) { return ourWrite(l, true) }),
		e("document, write", memory, inMemory, func(*lab) (float64, error) { return memoryWrite() }),
		e("document, size", store+", tables", durable, ourSize),
		e("document, size", memory+", delta", inMemory, memorySize),
		e("document, load", store, durable, ourLoad),
		e("document, load", memory+", delta", inMemory, memoryLoad),
		e("document, catch up", store+", over QUIC", durable, func(l *lab) (float64, error) { return ourCatchUp(l, false) }),
		e("document, catch up", memory+", delta", inMemory, memoryCatchUp),
		e("document, bytes to catch up", store+", UDP payload both ways", durable, func(l *lab) (float64, error) { return ourCatchUp(l, true) }),
		e("document, bytes to catch up", memory+", delta", inMemory, memoryBytes),
		e("document, merge", store+", over QUIC", durable, ourMerge),
		e("document, merge", memory+", delta", inMemory, memoryMerge),
		e("counter, add", store+", durable, by 64 at a time", durable, func(l *lab) (float64, error) { return ourCounter(l, false) }),
		e("counter, add", store+", buffered", buffered, func(l *lab) (float64, error) { return ourCounter(l, true) }),
		e("counter, add", store+", accumulated", buffered, ourAccumulator),
		e("counter, add", memory, inMemory, func(*lab) (float64, error) { return memoryCounter(false) }),
		e("counter, size", memory+", delta", inMemory, func(*lab) (float64, error) { return memoryCounter(true) }),
	}
}

var background = context.Background()

// inNamespace opens a database in a folder of its own.
func inNamespace(l *lab, o replica.Options, fn func(dir string, db *replica.DB, ns *replica.Namespace) error) error {
	return l.folder(func(dir string) error {
		db, err := replica.Open(dir, o)
		if err != nil {
			return err
		}
		ns, err := db.Namespace("bench")
		if err == nil {
			err = fn(dir, db, ns)
		}
		return errors.Join(err, db.Close())
	})
}

func registers(n int) []crdt.Register[[]byte] {
	all := make([]crdt.Register[[]byte], n)
	for i := range all {
		all[i] = crdt.NewRegister[[]byte](key(i))
	}
	return all
}

// rate runs op n times on so many goroutines, and returns how many a second.
func rate(n, workers int, op func(i int) error) (float64, error) {
	var all sync.WaitGroup
	var next atomic.Int64
	failed := make([]error, workers)
	start := time.Now()
	for w := range workers {
		all.Go(func() {
			for i := int(next.Add(1)); i <= n && failed[w] == nil; i = int(next.Add(1)) {
				failed[w] = op(i)
			}
		})
	}
	all.Wait()
	return float64(n) / time.Since(start).Seconds(), errors.Join(failed...)
}

// shuffled is the i-th key of a walk through all hot keys that is not in order.
func shuffled(i int) int { return i * 61_803 % hotKeys }

// setCount is how many sets are timed: enough for a second or two.
func setCount(writers int, synced bool) int {
	if synced {
		return 1500 * writers
	}
	return 40_000
}

func ourSets(l *lab, writers int, b bool) (perSecond float64, err error) {
	err = inNamespace(l, replica.Options{}, func(_ string, _ *replica.DB, ns *replica.Namespace) (err error) {
		all := registers(hotKeys)
		v := value(1)
		perSecond, err = rate(setCount(writers, !b), writers, func(i int) error {
			r := &all[shuffled(i)]
			return ns.UpdateWith(background, replica.UpdateOptions{Buffered: b}, func(tx *replica.Tx) error { return r.Set(tx, v) })
		})
		return err
	})
	return perSecond, err
}

// collected is a logger that says once that the log was collected.
type collected struct {
	slog.Handler
	done chan struct{}
	once *sync.Once
}

func (c collected) Enabled(context.Context, slog.Level) bool { return true }
func (c collected) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "collected" {
		c.once.Do(func() { close(c.done) })
	}
	return nil
}

// tablesOf opens a database and closes it, so that all is in tables, and returns
// what they take then. Beside them are some 12 kB of other files, whatever there
// is in the database.
func tablesOf(dir string) (bytes float64, err error) {
	db, err := replica.Open(dir, replica.Options{})
	if err != nil {
		return 0, err
	}
	if err := db.Close(); err != nil {
		return 0, err
	}
	tables, err := filepath.Glob(filepath.Join(dir, "data", "*.sst"))
	for _, name := range tables {
		info, err := os.Stat(name)
		if err != nil {
			return 0, err
		}
		bytes += float64(info.Size())
	}
	return bytes, err
}

// ourOverwrites has the log collected, as it is every hour, and every four
// seconds with the least retention.
func ourOverwrites(l *lab) (bytes float64, err error) {
	err = l.folder(func(dir string) error {
		c := collected{done: make(chan struct{}), once: new(sync.Once)}
		db, err := replica.Open(dir, replica.Options{Retention: time.Minute, Logger: slog.New(c)})
		if err != nil {
			return err
		}
		ns, err := db.Namespace("bench")
		if err != nil {
			return errors.Join(err, db.Close())
		}
		all := registers(rewritten)
		_, err = rate(overwrites, 1, func(i int) error {
			v := value(i)
			return ns.UpdateWith(background, replica.UpdateOptions{Buffered: true}, func(tx *replica.Tx) error { return all[i%rewritten].Set(tx, v) })
		})
		if err == nil {
			select {
			case <-c.done:
			case <-time.After(30 * time.Second):
				err = errors.New("the log was not collected")
			}
		}
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		bytes, err = tablesOf(dir)
		return err
	})
	return bytes, err
}

// fill writes the document.
func fill(ns *replica.Namespace, b bool, round int) error {
	all := registers(keyCount)
	for from := 0; from < keyCount; from += keysAtOnce {
		err := ns.UpdateWith(background, replica.UpdateOptions{Buffered: b}, func(tx *replica.Tx) error {
			for i := from; i < from+keysAtOnce; i++ {
				if err := all[i].Set(tx, value(i+round*keyCount)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func ourWrite(l *lab, b bool) (perSecond float64, err error) {
	err = inNamespace(l, replica.Options{}, func(_ string, _ *replica.DB, ns *replica.Namespace) error {
		start := time.Now()
		err := fill(ns, b, 0)
		perSecond = keyCount / time.Since(start).Seconds()
		return err
	})
	return perSecond, err
}

// filled calls fn with the folder of a database that was filled, and closed.
func filled(l *lab, fn func(dir string) error) error {
	return l.folder(func(dir string) error {
		db, err := replica.Open(dir, replica.Options{})
		if err != nil {
			return err
		}
		ns, err := db.Namespace("bench")
		if err == nil {
			err = fill(ns, true, 0)
		}
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		return fn(dir)
	})
}

func ourSize(l *lab) (bytes float64, err error) {
	err = filled(l, func(dir string) error {
		bytes, err = tablesOf(dir)
		return err
	})
	return bytes, err
}

func ourLoad(l *lab) (millis float64, err error) {
	err = filled(l, func(dir string) error {
		start := time.Now()
		db, err := replica.Open(dir, replica.Options{})
		if err != nil {
			return err
		}
		ns, err := db.Namespace("bench")
		if err == nil {
			err = ns.View(background, func(v *replica.View) error {
				_, err := crdt.NewRegister[[]byte](key(keyCount / 2)).Get(v)
				return err
			})
		}
		millis = float64(time.Since(start).Microseconds()) / 1000
		return errors.Join(err, db.Close())
	})
	return millis, err
}

// ourCounter adds one at a time: buffered, or durable from 64 at a time, which
// share the disk's syncs, a tenth of them.
func ourCounter(l *lab, b bool) (perSecond float64, err error) {
	n, writers := increments, 1
	if !b {
		n, writers = increments/10, 64
	}
	err = inNamespace(l, replica.Options{}, func(_ string, _ *replica.DB, ns *replica.Namespace) (err error) {
		c := crdt.NewCounter("count")
		perSecond, err = rate(n, writers, func(int) error {
			return ns.UpdateWith(background, replica.UpdateOptions{Buffered: b}, func(tx *replica.Tx) error { return c.Add(tx, 1) })
		})
		if err != nil {
			return err
		}
		return readsAs(ns, c, n)
	})
	return perSecond, err
}

// ourAccumulator adds to a counter whose adds of 50 ms are one transaction, and
// counts until the last of them is in it.
func ourAccumulator(l *lab) (perSecond float64, err error) {
	const n = 10 * increments // else it is over before the first
	err = inNamespace(l, replica.Options{}, func(_ string, _ *replica.DB, ns *replica.Namespace) error {
		c := crdt.NewCounter("count")
		sum, start := ns.Accumulator(c), time.Now()
		for range n {
			if err := sum.Add(1); err != nil {
				return err
			}
		}
		if err := ns.Flush(background); err != nil {
			return err
		}
		perSecond = n / time.Since(start).Seconds()
		return readsAs(ns, c, n)
	})
	return perSecond, err
}

// readsAs wants a counter to be n.
func readsAs(ns *replica.Namespace, c crdt.Counter, n int) error {
	return ns.View(background, func(v *replica.View) error {
		if got, err := c.Get(v); err != nil || got != int64(n) {
			return fmt.Errorf("the counter is %d, not %d: %w", got, n, err)
		}
		return nil
	})
}

// identities are of a cluster of two.
func identities() (both [2]*transport.Identity, err error) {
	authority, err := transport.NewAuthority(nil)
	for i := range both {
		if err == nil {
			both[i], err = authority.Enroll(nil, transport.AllNamespaces())
		}
	}
	return both, err
}
