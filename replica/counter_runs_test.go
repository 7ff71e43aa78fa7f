package replica

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// A counter that was added to in many runs of its node is looked at after a
// number of runs that takes a second, and with -whole.runs=10000 after many.
var wholeRuns = flag.Int("whole.runs", 150, "how many runs of a node add to a counter")

var runs = crdt.NewCounter("runs")

// addInRuns adds one in each of n runs of a database on fs, and checks what an
// add writes.
func addInRuns(t testing.TB, fs vfs.FS, o Options, n int) {
	t.Helper()
	o.FS = fs
	for run := range n {
		db, err := Open("db", o)
		if err != nil {
			t.Fatal(err)
		}
		ns, err := db.Namespace("ns")
		if err != nil {
			t.Fatal(err)
		}
		err = ns.UpdateWith(t.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
			err := runs.Add(tx, 1)
			if tx.work.Load().writes.bytes >= 4096 {
				t.Errorf("the add of run %d writes %d bytes", run, tx.work.Load().writes.bytes)
			}
			return err
		})
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// memberIdentity returns the identity of a member of a new cluster.
func memberIdentity(t testing.TB) *transport.Identity {
	t.Helper()
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := authority.Enroll(nil, transport.AllNamespaces())
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// reopenCounters closes db, if there is one, and opens it again.
func reopenCounters(t *rapid.T, db *DB, fs vfs.FS, identity *transport.Identity) (*DB, *Namespace) {
	if db != nil {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db, err := Open("db", Options{FS: fs, Identity: identity})
	if err != nil {
		t.Fatal(err)
	}
	ns, err := db.Namespace("ns")
	if err != nil {
		t.Fatal(err)
	}
	return db, ns
}

// unmemoized is a view that does not remember.
type unmemoized struct{ crdt.View }

func TestACounterAddedToInManyRuns(t *testing.T) {
	fs := vfs.NewMem()
	identity := memberIdentity(t)
	addInRuns(t, fs, Options{Identity: identity}, *wholeRuns)
	ns := namespaceOf(t, openWith(t, Options{FS: fs, Identity: identity}), "ns")
	read := func(want int64) {
		t.Helper()
		err := ns.View(t.Context(), func(v *View) error {
			for range 3 {
				if got, err := runs.Get(v); got != want || err != nil {
					t.Errorf("the counter is %d, %v, want %d", got, err, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read(int64(*wholeRuns))
	for i := range 3 {
		if err := ns.Update(t.Context(), func(tx *Tx) error { return runs.Add(tx, 1) }); err != nil {
			t.Fatal(err)
		}
		read(int64(*wholeRuns + i + 1))
	}
}

// checkMemory reads the counter with what is remembered, and without.
func checkMemory(t *rapid.T, v crdt.View) {
	got, err := runs.Big(v)
	want, wantErr := runs.Big(unmemoized{v})
	if fmt.Sprint(got, err) != fmt.Sprint(want, wantErr) {
		t.Fatalf("the counter reads %v, %v, and without memory %v, %v", got, err, want, wantErr)
	}
}

// drawStep draws what a transaction does to the counter.
func drawStep(t *rapid.T) func(*Tx) error {
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0:
		return func(tx *Tx) error { return second(runs.Reset(tx)) }
	case 1:
		return func(tx *Tx) error { return second(runs.Delete(tx)) }
	}
	n := rapid.Int64Range(-2, 3).Draw(t, "delta")
	return func(tx *Tx) error { return runs.Add(tx, n) }
}

// Whatever is added, reset and deleted, by transactions and in them, a counter
// reads the same with what is remembered as without.
func TestAnyHistoryReadsCountersTheSameWithoutMemory(t *testing.T) {
	identity := memberIdentity(t)
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		db, ns := reopenCounters(t, nil, fs, identity)
		defer func() { db.Close() }()
		var held []*View
		letGo := func() {
			for _, v := range held {
				v.end(crdt.ErrTxEnded)
			}
			held = nil
		}
		defer letGo()
		again := func(t *rapid.T) {
			letGo()
			db, ns = reopenCounters(t, db, fs, identity)
		}
		for range 20 { // so many that they are remembered
			again(t)
			if err := ns.Update(context.Background(), func(tx *Tx) error { return runs.Add(tx, 1) }); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"update": func(t *rapid.T) {
				steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 3).Draw(t, "steps")
				err := ns.UpdateWith(context.Background(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
					for _, do := range steps {
						if err := do(tx); err != nil {
							return err
						}
						checkMemory(t, tx)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			},
			"hold": func(t *rapid.T) {
				v, err := ns.snapshot()
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, v)
			},
			"restart": again,
			"": func(t *rapid.T) {
				for _, v := range held {
					checkMemory(t, v)
				}
				if err := ns.View(context.Background(), func(v *View) error { checkMemory(t, v); return nil }); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// A transaction that read what was remembered conflicts as if it had read the
// records.
func TestWhatIsRecalledWasRead(t *testing.T) {
	fs := vfs.NewMem()
	identity := memberIdentity(t)
	addInRuns(t, fs, Options{Identity: identity}, 20)
	ns := namespaceOf(t, openWith(t, Options{FS: fs, Identity: identity}), "ns")
	if err := ns.View(t.Context(), func(v *View) error { return second(runs.Get(v)) }); err != nil {
		t.Fatal(err)
	}
	tries := 0
	err := ns.Update(t.Context(), func(tx *Tx) error {
		tries++
		n, err := runs.Get(tx)
		if err != nil {
			return err
		}
		if tries == 1 {
			if err := ns.Update(t.Context(), func(tx *Tx) error { return runs.Add(tx, 100) }); err != nil {
				return err
			}
		}
		return crdt.NewRegister[int64]("copy").Set(tx, n)
	})
	if err != nil || tries != 2 {
		t.Fatalf("%v after %d tries, want 2", err, tries)
	}
	err = ns.View(t.Context(), func(v *View) error {
		n, err := crdt.NewRegister[int64]("copy").Get(v)
		if n != 120 {
			t.Errorf("the copy of the counter is %d, want 120", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }

// BenchmarkCounterReadAfterRuns reads a counter that its node added to in one
// run, and in many, in turns: with an add before each read, and without.
func BenchmarkCounterReadAfterRuns(b *testing.B) {
	var ns [2]*Namespace
	for i, n := range []int{1, *wholeRuns} {
		fs, identity := vfs.NewMem(), memberIdentity(b)
		addInRuns(b, fs, Options{Identity: identity}, n)
		var err error
		if ns[i], err = openWith(b, Options{FS: fs, Identity: identity}).Namespace("ns"); err != nil {
			b.Fatal(err)
		}
	}
	for _, adds := range []bool{false, true} {
		b.Run(fmt.Sprint("adds=", adds), func(b *testing.B) {
			var spent [2]time.Duration
			for range b.N {
				for i, ns := range ns {
					if adds {
						err := ns.UpdateWith(b.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error { return runs.Add(tx, 1) })
						if err != nil {
							b.Fatal(err)
						}
					}
					start := time.Now()
					if err := ns.View(b.Context(), func(v *View) error { return second(runs.Get(v)) }); err != nil {
						b.Fatal(err)
					}
					spent[i] += time.Since(start)
				}
			}
			b.ReportMetric(float64(spent[0].Nanoseconds())/float64(b.N), "one-run-ns/read")
			b.ReportMetric(float64(spent[1].Nanoseconds())/float64(b.N), "many-runs-ns/read")
			b.ReportMetric(spent[1].Seconds()/spent[0].Seconds(), "of-one-run")
			b.ReportMetric(0, "ns/op")
		})
	}
}
