package replica

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// number reads an integer written as text; 0 if there is none.
func number(v crdt.View, k crdt.Key) (int, error) {
	s, err := read(v, k)
	if err != nil || s == "" {
		return 0, err
	}
	return strconv.Atoi(s)
}

func putNumber(tx *Tx, k crdt.Key, n int) error { return tx.Put(k, []byte(strconv.Itoa(n))) }

// together runs fn n times at once, and fails the test with their errors.
func together(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// sum adds up all numbers below "account".
func sum(v crdt.View) (total int, err error) {
	s, err := crdt.Path{"account"}.Subtree()
	if err != nil {
		return 0, err
	}
	for e, err := range v.Scan(s) {
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(string(e.Record.Winner().Value))
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// TestConcurrentTransactionsAreSerializable moves amounts between accounts
// from many goroutines, each transaction also counting itself: no amount is
// lost or made, no count is missed, and every view adds up.
func TestConcurrentTransactionsAreSerializable(t *testing.T) {
	const movers, moves, accounts = 8, 60, 5
	ns := openNamespace(t)
	total := 0
	err := ns.Update(t.Context(), func(tx *Tx) error {
		for i := range accounts {
			total += 100
			if err := putNumber(tx, keyAt("account", fmt.Sprint(i)), 100); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	together(t, movers, func(i int) error {
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		for range moves {
			from := keyAt("account", fmt.Sprint(rnd.IntN(accounts)))
			to := keyAt("account", fmt.Sprint(rnd.IntN(accounts)))
			amount, buffered := rnd.IntN(20), rnd.IntN(2) == 0
			err := ns.UpdateWith(t.Context(), UpdateOptions{Buffered: buffered}, func(tx *Tx) error {
				return move(tx, from, to, amount)
			})
			if err != nil {
				return err
			}
			err = ns.View(t.Context(), func(v *View) error {
				if got, err := sum(v); err != nil || got != total {
					return fmt.Errorf("a view adds up to %d, want %d (%w)", got, total, err)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	wantRead(t, ns, fmt.Sprint(movers*moves), "moves")
}

func move(tx *Tx, from, to crdt.Key, amount int) error {
	for _, step := range []struct {
		k   crdt.Key
		add int
	}{{from, -amount}, {to, amount}, {keyAt("moves"), 1}} {
		n, err := number(tx, step.k)
		if err != nil {
			return err
		}
		if err := putNumber(tx, step.k, n+step.add); err != nil {
			return err
		}
	}
	return nil
}

// TestNoWriteSkew lets transactions at once each take a place that is free
// only as long as no other is taken, told by a scan or by the last record.
func TestNoWriteSkew(t *testing.T) {
	const rounds, takers = 40, 4
	ns := openNamespace(t)
	looks := map[string]func(tx *Tx, s crdt.Span) (taken int, err error){
		"scan": func(tx *Tx, s crdt.Span) (taken int, err error) {
			for _, err = range tx.Scan(s) {
				taken++
			}
			return taken, err
		},
		"last": func(tx *Tx, s crdt.Span) (int, error) {
			_, ok, err := tx.Last(s)
			if ok {
				return 1, err
			}
			return 0, err
		},
	}
	for name, look := range looks {
		t.Run(name, func(t *testing.T) {
			for round := range rounds {
				room := crdt.Path{name, fmt.Sprint(round)}
				s, err := room.Subtree()
				if err != nil {
					t.Fatal(err)
				}
				together(t, takers, func(i int) error {
					return ns.UpdateWith(t.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
						taken, err := look(tx, s)
						if taken > 0 || err != nil {
							return err
						}
						return tx.Put(keyAt(append(room, fmt.Sprint(i))...), []byte("mine"))
					})
				})
				wantRecords(t, ns, s, 1)
			}
		})
	}
}

func wantRecords(t *testing.T, ns *Namespace, s crdt.Span, want int) {
	t.Helper()
	err := ns.View(t.Context(), func(v *View) error {
		n := 0
		for _, err := range v.Scan(s) {
			if err != nil {
				return err
			}
			n++
		}
		if n != want {
			t.Errorf("%d records, want %d", n, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
