package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/crashdisk"
)

// count reads a counter, 0 if there is none.
func count(t testing.TB, ns *Namespace, c crdt.Counter) (n int64) {
	t.Helper()
	err := ns.View(t.Context(), func(v *View) (err error) {
		n, err = c.Get(v)
		return err
	})
	if err != nil && !errors.Is(err, crdt.ErrMissing) {
		t.Fatal(err)
	}
	return n
}

func add(t testing.TB, a *Accumulator, deltas ...int64) {
	t.Helper()
	for _, d := range deltas {
		if err := a.Add(d); err != nil {
			t.Fatal(err)
		}
	}
}

// What was acknowledged is counted once, whatever was flushed meanwhile, and
// however the database was closed under the adders.
func TestWhatIsAccumulatedIsTheSumOfWhatWasAcknowledged(t *testing.T) {
	const counters, adders = 3, 4
	fs, rnd := vfs.NewMem(), rand.New(rand.NewPCG(1, 2))
	var want [counters]int64
	for round := range 8 {
		db := openWith(t, Options{FS: fs, BufferedSync: time.Duration(1+round%2) * time.Millisecond})
		ns := namespaceOf(t, db, "ns")
		var shared [counters]*Accumulator
		for i := range shared {
			shared[i] = ns.Accumulator(crdt.NewCounter(fmt.Sprint(i)))
		}
		var got [adders][counters]int64
		var all sync.WaitGroup
		begun := make(chan struct{}, adders)
		for w := range adders {
			seed := rnd.Uint64()
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, 0))
				own := [counters]*Accumulator{shared[0], ns.Accumulator(crdt.NewCounter("1")), shared[2]}
				for n := 0; ; n++ {
					if n == 100 {
						begun <- struct{}{}
					}
					i, delta := rnd.IntN(counters), rnd.Int64N(100)-30
					if err := own[i].Add(delta); err != nil {
						wantIs(t, err, ErrClosed)
						return
					}
					got[w][i] += delta
					if rnd.IntN(500) == 0 {
						if err := ns.Flush(t.Context()); err != nil {
							wantIs(t, err, ErrClosed)
						}
					}
				}
			})
		}
		for range adders {
			<-begun
		}
		c := crdt.NewCounter("0") // others may add by transactions of their own
		if err := ns.Update(t.Context(), func(tx *Tx) error { return c.Add(tx, 1000) }); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		want[0] += 1000
		for w := range got {
			for i := range want {
				want[i] += got[w][i]
			}
		}
		again := openWith(t, Options{FS: fs})
		for i := range want {
			if n := count(t, namespaceOf(t, again, "ns"), crdt.NewCounter(fmt.Sprint(i))); n != want[i] {
				t.Errorf("round %d: counter %d is %d, want %d", round, i, n, want[i])
			}
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// An add beside a flush goes with it, or is queued for the next: never neither.
func TestAnAddBesideAFlushIsForgottenByNone(t *testing.T) {
	const runs = 100_000
	ns := namespaceOf(t, openWith(t, Options{FS: vfs.NewMem(), BufferedSync: never}), "ns")
	c := crdt.NewCounter("c")
	a := ns.Accumulator(c)
	var turn, done atomic.Int64
	go func() {
		for n := range int64(runs) {
			for turn.Load() <= n {
				runtime.Gosched()
			}
			_ = a.Add(1)
			done.Store(n + 1)
		}
	}()
	for n := range int64(runs) {
		add(t, a, 1)
		turn.Store(n + 1)
		ns.adds.flushing.Lock()
		ns.adds.take()
		ns.adds.flushing.Unlock()
		for done.Load() <= n {
			runtime.Gosched()
		}
		ns.adds.flushing.Lock()
		ns.adds.take()
		owed := a.owed
		ns.adds.flushing.Unlock()
		if owed != 2*(n+1) {
			t.Fatalf("after %d adds %d were taken", 2*(n+1), owed)
		}
	}
	if err := ns.Flush(t.Context()); err != nil || count(t, ns, c) != 2*runs {
		t.Errorf("it is %d (%v)", count(t, ns, c), err)
	}
}

// An add that finds its accumulator queued by another is visible after a flush, too.
func TestAFlushHasAnAddBesideTheOneThatQueued(t *testing.T) {
	const runs, other = 2_000_000, 1 << 32
	ns := namespaceOf(t, openWith(t, Options{FS: vfs.NewMem(), BufferedSync: never}), "ns")
	a := ns.Accumulator(crdt.NewCounter("c"))
	var over atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; n < 1<<30 && !over.Load(); n++ {
			_ = a.Add(other)
		}
	})
	defer all.Wait()
	defer over.Store(true)
	for n := range int64(runs) {
		add(t, a, 1)
		ns.adds.flushing.Lock()
		ns.adds.take()
		owed := a.owed % other
		ns.adds.flushing.Unlock()
		if owed != n+1 {
			t.Fatalf("after %d adds %d were taken", n+1, owed)
		}
	}
}

// What a flush has taken, and could not commit, does not keep the next one from
// what was added since: neither where both together do not fit a sum, nor where they
// are more than one transaction takes.
func TestAFlushThatWasCancelledLeavesAllToTheNext(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	ns := namespaceOf(t, openWith(t, Options{FS: vfs.NewMem(), BufferedSync: never}), "ns")
	c := crdt.NewCounter("c")
	if err := ns.Update(t.Context(), func(tx *Tx) error { return c.Add(tx, -10) }); err != nil {
		t.Fatal(err)
	}
	a := ns.Accumulator(c)
	add(t, a, math.MaxInt64)
	wantIs(t, ns.Flush(cancelled), context.Canceled)
	add(t, a, 5)
	if err := ns.Flush(t.Context()); err != nil || count(t, ns, c) != math.MaxInt64-5 {
		t.Errorf("it is %d (%v)", count(t, ns, c), err)
	}

	const counters = MaxTxOps + MaxAccumulators
	for i := range counters {
		add(t, ns.Accumulator(crdt.NewCounter(fmt.Sprint(i))), 1)
		if i%(MaxAccumulators-1) == 0 {
			wantIs(t, ns.Flush(cancelled), context.Canceled)
		}
	}
	if err := ns.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, MaxAccumulators, counters - 1} {
		if n := count(t, ns, crdt.NewCounter(fmt.Sprint(i))); n != 1 {
			t.Errorf("counter %d is %d", i, n)
		}
	}
}

func TestAddsOfAWindowAreOneTransactionAndThenOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		ns := namespaceOf(t, openWith(t, Options{FS: fs, BufferedSync: time.Second}), "ns")
		a, b := crdt.NewCounter("a"), crdt.NewCounter("b")
		toA, toB := ns.Accumulator(a), ns.Accumulator(b)
		for window := range int64(3) {
			before := ns.store.Commits()
			for range 100 {
				add(t, toA, 3, -1)
				add(t, toB, -1)
			}
			time.Sleep(time.Second - time.Nanosecond)
			synctest.Wait()
			if n, commits := count(t, ns, a), ns.store.Commits()-before; n != 200*window || commits != 0 {
				t.Errorf("within the window the counter is %d, after %d commits", n, commits)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			for _, at := range []*Namespace{ns, cutPower(t, fs)} {
				if x, y := count(t, at, a), count(t, at, b); x != 200*(window+1) || y != -100*(window+1) {
					t.Errorf("after window %d the counters are %d and %d", window, x, y)
				}
			}
			if n := ns.store.Commits() - before; n != 1 {
				t.Errorf("window %d took %d commits", window, n)
			}
		}
		add(t, toA, 0)
		before := ns.store.Commits()
		time.Sleep(time.Minute)
		if n := ns.store.Commits() - before; n > 0 {
			t.Errorf("with nothing to add there are %d commits", n)
		}
	})
}

func TestSyncAndCopiesHaveWhatIsAccumulated(t *testing.T) {
	fs := vfs.NewCrashableMem()
	ns := namespaceOf(t, openWith(t, Options{FS: fs, BufferedSync: never}), "ns")
	c := crdt.NewCounter("c")
	a := ns.Accumulator(c)
	add(t, a, 5)
	if n := count(t, ns, c); n != 0 {
		t.Errorf("before the window's end it is %d", n)
	}
	if err := ns.Flush(t.Context()); err != nil || count(t, ns, c) != 5 || count(t, cutPower(t, fs), c) != 0 {
		t.Errorf("after Flush it is %d (%v), and on disk %d", count(t, ns, c), err, count(t, cutPower(t, fs), c))
	}
	add(t, a, 1)
	if err := ns.Sync(t.Context()); err != nil || count(t, cutPower(t, fs), c) != 6 {
		t.Errorf("after Sync it is on disk %d (%v)", count(t, cutPower(t, fs), c), err)
	}
	add(t, a, 1)
	var backup bytes.Buffer
	dir := t.TempDir()
	if err := errors.Join(ns.db.Backup(t.Context(), &backup), Restore(t.Context(), dir, &backup)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, namespaceOf(t, openAt(t, dir), "ns"), c); n != 7 {
		t.Errorf("in the backup it is %d", n)
	}
	add(t, a, 1)
	at := "checkpoint"
	if err := ns.db.Checkpoint(at); err != nil {
		t.Fatal(err)
	}
	copied, err := Open(at, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, namespaceOf(t, copied, "ns"), c); n != 8 {
		t.Errorf("in the checkpoint it is %d", n)
	}
	if err := copied.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestACounterThatIsFullSpendsItsAccumulatorAlone(t *testing.T) {
	ns := openNamespace(t)
	full, other := crdt.NewCounter("full"), crdt.NewCounter("other")
	a, b := ns.Accumulator(full), ns.Accumulator(other)
	for range 2 { // a sum does not hold both
		add(t, a, math.MaxInt64)
	}
	if err := ns.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(t, a, -math.MaxInt64)
	if n := ns.store.Commits(); n != 2 {
		t.Errorf("there are %d commits", n)
	}
	add(t, a, -math.MaxInt64, 1)
	err := ns.Flush(t.Context())
	if n := count(t, ns, full); err != nil || n != 1 {
		t.Errorf("it is %d (%v)", n, err)
	}
	add(t, a, 7)
	add(t, b, 7)
	wantIs(t, ns.Flush(t.Context()), crdt.ErrOverflow)
	wantIs(t, a.Add(1), crdt.ErrOverflow)
	add(t, b, 1)
	if err := ns.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if x, y := count(t, ns, full), count(t, ns, other); x != 1 || y != 8 {
		t.Errorf("the counters are %d and %d", x, y)
	}
	wantIs(t, ns.Accumulator(crdt.Counter{}).Add(1), crdt.ErrPath)
	wantIs(t, ns.Accumulator(crdt.NewCounter(string(make([]byte, crdt.MaxKeyBytes)))).Add(1), crdt.ErrPath)
}

func TestMoreCountersThanOneTransactionTakesAreCommittedBefore(t *testing.T) {
	ns := namespaceOf(t, openWith(t, Options{FS: vfs.NewMem(), BufferedSync: never}), "ns")
	for i := range MaxAccumulators + 1 {
		add(t, ns.Accumulator(crdt.NewCounter(fmt.Sprint(i))), 1)
	}
	if n := ns.store.Commits(); n != 1 || count(t, ns, crdt.NewCounter("0")) != 1 {
		t.Errorf("there are %d commits", n)
	}
	if n := len(ns.adds.dirty); n != 1 {
		t.Errorf("%d counters are accumulated for", n)
	}
}

func TestWhatIsAccumulatedGoesWithItsNamespace(t *testing.T) {
	ns := namespaceOf(t, openWith(t, Options{FS: vfs.NewMem(), BufferedSync: never}), "ns")
	c := crdt.NewCounter("c")
	a := ns.Accumulator(c)
	add(t, a, 5)
	if err := ns.db.Drop("ns"); err != nil {
		t.Fatal(err)
	}
	wantIs(t, a.Add(1), ErrNoNamespace)
	wantIs(t, ns.Flush(t.Context()), ErrNoNamespace)
	if n := count(t, namespaceOf(t, ns.db, "ns"), c); n != 0 {
		t.Errorf("made anew it has %d", n)
	}
}

// While a disk is full nothing more is taken, and nothing that was is lost.
func TestWhatIsAccumulatedOutlivesAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := crashdisk.NewSmall(vfs.NewMem(), 7<<20)
		ns := namespaceOf(t, openWith(t, Options{FS: disk, MemTableBytes: 256 << 10, BufferedSync: time.Second}), "ns")
		c := crdt.NewCounter("c")
		a := ns.Accumulator(c)
		add(t, a, 5)
		rnd, noise := rand.NewChaCha8([32]byte{}), make([]byte, 30_000)
		var err error
		for i := 0; err == nil; i++ {
			rnd.Read(noise)
			err = ns.UpdateWith(t.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
				return tx.Put(keyAt(fmt.Sprint(i)), noise)
			})
		}
		wantIs(t, err, ErrDiskFull)
		for range 3 {
			add(t, a, 1)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantIs(t, a.Add(1), ErrDiskFull)
		wantIs(t, ns.Flush(t.Context()), ErrDiskFull)
		disk.SetRoom(64 << 20)
		time.Sleep(accumulateRetry)
		synctest.Wait()
		add(t, a, 1)
		if err := ns.Flush(t.Context()); err != nil || count(t, ns, c) != 9 {
			t.Errorf("with room again the counter is %d (%v)", count(t, ns, c), err)
		}
	})
}
