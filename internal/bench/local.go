package bench

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

// hotKeys is how many keys the rows of writing write to.
const hotKeys = 100_000

// benchNamespace is where all rows write.
const benchNamespace = "bench"

// hotCounters is how many counters the rows of adding add to.
const hotCounters = 1_000

// localRows are of what one node does with no network.
func localRows() []Row {
	rows := []Row{{
		Name: "set/buffered", Work: "a register is set, buffered", Raw: "a Pebble batch of 2 puts, no sync",
		Unit: "op/s", Goal: Goal{AtLeast: 0.85},
		Prepare: func(l *Lab) (Repetition, error) { return prepareSet(l, 1, true) },
	}}
	for _, writers := range []int{1, 8, 64} {
		rows = append(rows, Row{
			Name: fmt.Sprintf("set/durable/%d", writers), Work: fmt.Sprintf("a register is set, durable, %d writers", writers),
			Raw: "a Pebble batch of 2 puts, synced", Unit: "op/s", Goal: Goal{AtLeast: 0.95},
			Prepare: func(l *Lab) (Repetition, error) { return prepareSet(l, writers, false) },
		})
	}
	return append(rows, Row{
		Name: "counter/buffered", Work: "one of 1,000 counters is added to, buffered", Raw: "a Pebble batch of 2 puts, no sync",
		Unit: "op/s", Goal: Goal{AtLeast: 0.9}, Prepare: prepareCounter,
	}, Row{ // over 1M/s, where the raw side has 464k/s
		Name: "counter/coalesced", Work: "one of 1,000 counters is added to, 100,000 adds a flush", Raw: "a Pebble batch of 2 puts, no sync",
		Unit: "op/s", Goal: Goal{AtLeast: 2.2}, Prepare: prepareCoalesced,
	})
}

// counter returns the i-th of the counters that are hot.
func counter(i int) crdt.Counter { return crdt.NewCounter(fmt.Sprintf("%016d", i)) }

// openCounters opens a namespace, and a bare Pebble for batches of a counter's size.
func openCounters(l *Lab) (*replica.Namespace, *rawWriter, error) {
	ns, err := openNamespace(l, replica.Options{})
	if err != nil {
		return nil, nil, err
	}
	raw, err := newRawWriter(l, hotCounters, counterSizes)
	return ns, raw, err
}

// prepareCounter adds to counters that are hot, one a transaction.
func prepareCounter(l *Lab) (Repetition, error) {
	ns, raw, err := openCounters(l)
	if err != nil {
		return nil, err
	}
	counters := make([]crdt.Counter, hotCounters)
	for i := range counters {
		counters[i] = counter(i)
	}
	var oursAt, rawAt atomic.Uint64
	t := Turns{Each: 5_000, Turns: 10}
	t.Ours = parallel(1, func() error {
		c := &counters[shuffled(&oursAt)%hotCounters]
		return ns.UpdateWith(l.Context, replica.UpdateOptions{Buffered: true}, func(tx *replica.Tx) error { return c.Add(tx, 1) })
	})
	t.Raw = parallel(1, func() error { return raw.put(shuffled(&rawAt)%hotCounters, pebble.NoSync) })
	return t.Rate, nil
}

// prepareCoalesced adds to the same counters by accumulators, which are flushed at
// the end of a turn: of one that takes less than the time in which they are
// flushed by themselves.
func prepareCoalesced(l *Lab) (Repetition, error) {
	ns, raw, err := openCounters(l)
	if err != nil {
		return nil, err
	}
	counters := make([]*replica.Accumulator, hotCounters)
	for i := range counters {
		counters[i] = ns.Accumulator(counter(i))
	}
	var oursAt, rawAt atomic.Uint64
	adds := parallel(1, func() error { return counters[shuffled(&oursAt)%hotCounters].Add(1) })
	t := Turns{Each: 100_000, Turns: 4}
	t.Ours = func(n int) error { return errors.Join(adds(n), ns.Flush(l.Context)) }
	t.Raw = parallel(1, func() error { return raw.put(shuffled(&rawAt)%hotCounters, pebble.NoSync) })
	return t.Rate, nil
}

// openNamespace opens a database of its own, and a namespace in it.
func openNamespace(l *Lab, o replica.Options) (*replica.Namespace, error) {
	db, err := openDB(l, o)
	if err != nil {
		return nil, err
	}
	return db.Namespace(benchNamespace)
}

// openDB opens a database of its own.
func openDB(l *Lab, o replica.Options) (*replica.DB, error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	db, err := replica.Open(dir, o)
	if err != nil {
		return nil, err
	}
	l.Cleanup(db.Close)
	return db, nil
}

// prepareSet sets registers one a transaction, from so many goroutines.
func prepareSet(l *Lab, writers int, buffered bool) (Repetition, error) {
	ns, err := openNamespace(l, replica.Options{})
	if err != nil {
		return nil, err
	}
	raw, err := newRawWriter(l, hotKeys, registerSizes)
	if err != nil {
		return nil, err
	}
	registers := make([]crdt.Register[[]byte], hotKeys)
	for i := range registers {
		registers[i] = crdt.NewRegister[[]byte](fmt.Sprintf("%016d", i))
	}
	value, mode := make([]byte, valueBytes), pebble.Sync
	t := Turns{Each: 40 * writers, Turns: 10}
	if buffered {
		mode, t.Each = pebble.NoSync, 10_000
	}
	var oursAt, rawAt atomic.Uint64
	t.Ours = parallel(writers, func() error {
		r := &registers[shuffled(&oursAt)]
		return ns.UpdateWith(l.Context, replica.UpdateOptions{Buffered: buffered}, func(tx *replica.Tx) error { return r.Set(tx, value) })
	})
	t.Raw = parallel(writers, func() error { return raw.put(shuffled(&rawAt), mode) })
	return t.Rate, nil
}

// shuffled counts through 0 to hotKeys-1, in an order that is not the keys'.
func shuffled(at *atomic.Uint64) uint64 { return at.Add(61_803) % hotKeys }

// parallel runs op n times, on so many goroutines.
func parallel(workers int, op func() error) func(n int) error {
	return func(n int) error {
		if workers == 1 {
			for range n {
				if err := op(); err != nil {
					return err
				}
			}
			return nil
		}
		var all sync.WaitGroup
		failed := make(chan error, workers)
		for range workers {
			all.Go(func() {
				for range n / workers {
					if err := op(); err != nil {
						failed <- err
						return
					}
				}
			})
		}
		all.Wait()
		close(failed)
		return <-failed
	}
}
