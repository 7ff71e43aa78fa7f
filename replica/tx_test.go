package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

func TestAFailedTransactionLeavesNothing(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "before", "a")
	broken := errors.New("broken")
	err := ns.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.Put(keyAt("a"), []byte("after")), tx.Put(keyAt("b"), nil), broken)
	})
	wantIs(t, err, broken)
	wantRead(t, ns, "before", "a")
	wantRead(t, ns, "", "b")
}

func TestAPanicPassesThroughAndLetsGo(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "before", "a")
	panics := func(call func()) {
		t.Helper()
		defer func() {
			if got := recover(); got != "on purpose" {
				t.Errorf("recovered %v", got)
			}
		}()
		call()
	}
	use := func(v crdt.View) {
		for range v.Scan(crdt.AllKeys) {
			panic("on purpose")
		}
	}
	panics(func() {
		_ = ns.Update(t.Context(), func(tx *Tx) error {
			_ = tx.Put(keyAt("a"), []byte("after"))
			use(tx)
			return nil
		})
	})
	panics(func() {
		_ = ns.updateAlone(t.Context(), UpdateOptions{}, func(tx *Tx) error { use(tx); return nil })
	})
	panics(func() {
		_ = ns.View(t.Context(), func(v *View) error { use(v); return nil })
	})
	panics(func() {
		for range ns.Watch(t.Context(), WatchOptions{}) {
			panic("on purpose")
		}
	})
	if n := len(ns.db.tracked()); n > 0 || len(ns.watchers) > 0 {
		t.Errorf("%d views and %d watchers are left", n, len(ns.watchers))
	}
	put(t, ns, "more", "b") // no lock is left behind
	wantRead(t, ns, "before", "a")
}

func TestATransactionEndsWithItsClosure(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "v", "a")
	var kept *Tx
	var seen *View
	err := errors.Join(
		ns.Update(t.Context(), func(tx *Tx) error { kept = tx; return tx.Put(keyAt("b"), nil) }),
		ns.View(t.Context(), func(v *View) error { seen = v; return nil }),
	)
	if err != nil {
		t.Fatal(err)
	}
	_, err = kept.Get(keyAt("b"))
	wantIs(t, err, ErrTxEnded)
	wantIs(t, kept.Put(keyAt("b"), nil), ErrTxEnded)
	wantIs(t, kept.Remove(keyAt("b")), ErrTxEnded)
	for _, v := range []crdt.View{kept, seen} {
		_, err = v.Get(keyAt("a"))
		wantIs(t, err, ErrTxEnded)
		_, _, err = v.Last(crdt.AllKeys)
		wantIs(t, err, ErrTxEnded)
		for _, err = range v.Scan(crdt.AllKeys) {
		}
		wantIs(t, err, ErrTxEnded)
	}
}

// What a transaction works with is used again; a closure that kept its Tx is
// none of the next one's.
func TestATransactionThatHasEndedIsNoneOfTheNext(t *testing.T) {
	ns := openNamespace(t)
	put(t, ns, "a", "a")
	var kept []*Tx
	for range 3 {
		err := ns.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.Get(keyAt("a"))
			for _, old := range kept {
				wantIs(t, old.Put(keyAt("b"), []byte("stale")), ErrTxEnded)
				wantIs(t, old.Put(keyAt("b"), make([]byte, crdt.MaxValueBytes+1)), crdt.ErrValue)
				_, failed := old.Get(keyAt("a"))
				wantIs(t, failed, ErrTxEnded)
				old.Remember(crdt.AllKeys, "stale", 1)
				if fold, _ := old.Recall(crdt.AllKeys); fold != nil || old.Lend() != nil {
					t.Error("it has memory that is another's")
				}
				if old.Writer() != tx.Writer() || old.Node() != tx.Node() || old.Time().After(tx.Time()) {
					t.Error("it does not know any more whose it was")
				}
			}
			kept = append(kept, tx)
			return errors.Join(err, tx.Put(keyAt("c"), []byte("own")))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wantRead(t, ns, "own", "c")
	wantRead(t, ns, "", "b")
}

func TestCancellationBeforeTheCommitUndoesIt(t *testing.T) {
	ns := openNamespace(t)
	why := errors.New("no more")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := ns.Update(ctx, func(tx *Tx) error {
		cancel(why)
		return tx.Put(keyAt("a"), []byte("v"))
	})
	wantIs(t, err, why)
	wantRead(t, ns, "", "a")
	ran := func() error { t.Error("the closure ran"); return nil }
	wantIs(t, ns.Update(ctx, func(*Tx) error { return ran() }), why)
	wantIs(t, ns.View(ctx, func(*View) error { return ran() }), why)
	_, err = ns.Digest(ctx)
	wantIs(t, err, why)
}

func TestLimitsNameTheKeyAndTheSize(t *testing.T) {
	long := crdt.Path{strings.Repeat("x", crdt.MaxKeyBytes)}
	big := make([]byte, crdt.MaxValueBytes)
	tests := []struct {
		name  string
		fn    func(tx *Tx) error
		is    error
		words []string
	}{
		{"value", func(tx *Tx) error { return tx.Put(keyAt("a", "b"), append(big, 0)) },
			crdt.ErrValue, []string{"a/b", "1048577", "1048576"}},
		{"key", func(tx *Tx) error { return tx.Put(crdt.Key(long[0]+"\x00\x00r"), nil) },
			crdt.ErrPath, []string{"4099 bytes"}},
		{"malformed key", func(tx *Tx) error { return tx.Remove("no path") },
			crdt.ErrPath, []string{"no path"}},
		{"operations", func(tx *Tx) error {
			for i := range MaxTxOps + 1 {
				if err := tx.Put(keyAt("k", fmt.Sprint(i)), nil); err != nil {
					return err
				}
			}
			return nil
		}, ErrTooLarge, []string{"k/65536", "65537", "65536"}},
		{"bytes", func(tx *Tx) error {
			for i := range MaxTxBytes/len(big) + 1 {
				if err := tx.Put(keyAt("k", fmt.Sprint(i)), big); err != nil {
					return err
				}
			}
			return nil
		}, ErrTooLarge, []string{"k/63", "67108864"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ns := openNamespace(t)
			for _, swallow := range []bool{false, true} {
				err := ns.Update(t.Context(), func(tx *Tx) error {
					if err := test.fn(tx); !swallow {
						return err
					}
					return nil // what was refused is missing: it must not commit
				})
				wantIs(t, err, test.is)
				for _, word := range append(test.words, `"ns"`) {
					if !strings.Contains(fmt.Sprint(err), word) {
						t.Errorf("error %q does not name %s", err, word)
					}
				}
			}
			if v := ns.Vector(); len(v) > 0 {
				t.Errorf("something was committed: %v", v)
			}
		})
	}
}

func TestOverwritingCountsOnce(t *testing.T) {
	ns := openNamespace(t)
	big := make([]byte, crdt.MaxValueBytes)
	err := ns.UpdateWith(t.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
		for range 2 * MaxTxBytes / len(big) {
			if err := tx.Put(keyAt("a"), big); err != nil {
				return err
			}
		}
		return tx.Put(keyAt("a"), []byte("small"))
	})
	if err != nil {
		t.Fatal(err)
	}
	wantRead(t, ns, "small", "a")
}

// contend runs a transaction that reads "a" by look, and has "a" written by
// another one in the midst of its first tries.
func contend(t *testing.T, disturbed int, look func(tx *Tx) error) (runs int, err error) {
	t.Helper()
	ns := openNamespace(t)
	put(t, ns, "0", "a")
	put(t, ns, "0", "z")
	err = ns.Update(t.Context(), func(tx *Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		if runs++; runs <= disturbed {
			put(t, ns, fmt.Sprint(runs), "a")
		}
		return tx.Put(keyAt("result"), []byte(fmt.Sprint(runs)))
	})
	if err == nil {
		wantRead(t, ns, fmt.Sprint(runs), "result")
	}
	return runs, err
}

func TestAConflictRunsTheClosureAgainAndThenAlone(t *testing.T) {
	get := func(tx *Tx) error { _, err := tx.Get(keyAt("a")); return err }
	for disturbed := range txTries + 1 {
		runs, err := contend(t, disturbed, get)
		if err != nil || runs != disturbed+1 {
			t.Errorf("disturbed %d times it ran %d times (%v)", disturbed, runs, err)
		}
	}
}

// TestATransactionThatMetConflictsRunsAlone reads what another goroutine
// writes all the time, and waits for it to do so as long as that is possible.
func TestATransactionThatMetConflictsRunsAlone(t *testing.T) {
	ns := openNamespace(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	written := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for ctx.Err() == nil {
			put(t, ns, "busy", "a")
			select {
			case written <- struct{}{}:
			default:
			}
		}
	})
	runs := 0
	err := ns.Update(t.Context(), func(tx *Tx) error {
		runs++
		if _, err := tx.Get(keyAt("a")); err != nil {
			return err
		}
		if runs <= txTries {
			<-written
			<-written // this one began after the read
		}
		for i := range 5000 { // time enough to be overtaken
			if _, err := tx.Get(keyAt("b", fmt.Sprint(i))); err != nil {
				return err
			}
		}
		return tx.Put(keyAt("result"), []byte(fmt.Sprint(runs)))
	})
	if err != nil || runs != txTries+1 {
		t.Errorf("ran %d times (%v)", runs, err)
	}
	wantRead(t, ns, fmt.Sprint(runs), "result")
	stop()
	writer.Wait()
}

func TestOnlyWhatWasReadConflicts(t *testing.T) {
	scan := func(s crdt.Span, most int) func(*Tx) error {
		return func(tx *Tx) error {
			for _, err := range tx.Scan(s) {
				if most--; most == 0 || err != nil {
					return err
				}
			}
			return nil
		}
	}
	last := func(s crdt.Span) func(*Tx) error {
		return func(tx *Tx) error { _, _, err := tx.Last(s); return err }
	}
	many := func(at ...string) func(*Tx) error { // more than is told apart
		return func(tx *Tx) (err error) {
			one := func(k crdt.Key) error { return scan(crdt.Span{From: k, To: after(k)}, 0)(tx) }
			for _, part := range at {
				err = errors.Join(err, one(keyAt(part)))
			}
			for i := range maxTxReads / spanReads {
				err = errors.Join(err, one(keyAt("c", fmt.Sprint(i))))
			}
			return err
		}
	}
	before := func(look func(*Tx) error, k crdt.Key) func(*Tx) error {
		return func(tx *Tx) error { return errors.Join(tx.Put(k, nil), look(tx)) }
	}
	a, none := keyAt("a"), crdt.Span{From: keyAt("b")}
	tests := []struct {
		name string
		runs int
		look func(tx *Tx) error
	}{
		{"nothing", 1, func(tx *Tx) error { return nil }},
		{"a blind put of the key itself", 1, before(func(*Tx) error { return nil }, a)},
		{"the key", 2, func(tx *Tx) error { _, err := tx.Get(a); return err }},
		{"an own write of the key", 1, before(func(tx *Tx) error { _, err := tx.Get(a); return err }, a)},
		{"another key", 1, func(tx *Tx) error { _, err := tx.Get(keyAt("b")); return err }},
		{"a scan over it", 2, scan(crdt.AllKeys, 0)},
		{"a scan that stopped before it", 1, before(scan(crdt.AllKeys, 1), keyAt("Z"))},
		{"a scan that stopped at it", 2, scan(crdt.AllKeys, 1)},
		{"a scan elsewhere", 1, scan(none, 0)},
		{"the last", 2, last(crdt.Span{To: keyAt("c")})},
		{"the last, which is another", 1, last(crdt.AllKeys)},
		{"the last, which is an own write", 1, before(last(crdt.Span{To: keyAt("c")}), keyAt("b"))},
		{"the last elsewhere", 1, last(none)},
		{"very much around it", 2, many("0", "b")},
		{"very much from it on", 2, many("a")},
		{"very much elsewhere", 1, many("b")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			runs, err := contend(t, 1, test.look)
			if err != nil || runs != test.runs {
				t.Errorf("ran %d times (%v), want %d", runs, err, test.runs)
			}
		})
	}
}

func TestATransactionThatWritesNothingLeavesNoTrace(t *testing.T) {
	ns := openNamespace(t)
	look := func(tx *Tx) error { _, err := tx.Get(keyAt("a")); return err }
	err := errors.Join(
		ns.Update(t.Context(), look),
		ns.updateAlone(t.Context(), UpdateOptions{}, look),
	)
	if err != nil || len(ns.Vector()) > 0 {
		t.Errorf("vector %v (%v)", ns.Vector(), err)
	}
}
