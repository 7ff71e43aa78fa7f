package replica

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// Random histories of peers that are away for longer than removals are kept,
// and write, remove and collect there as the others do here. When they return
// they reconcile; links break in the middle, and they go on with other sources,
// which have gone on and collected meanwhile. The oracle knows what each
// transaction had seen: whatever is removed and comes back, and whatever is
// written and lost, differs from it.

var wholeReturns = flag.Int("whole.returns", 10, "how many histories of peers that return whole nodes play")

const (
	returnKeys   = 600 // a comparison takes three rounds
	returnRounds = 5
)

func TestWhoReturnsBringsNothingBackAndLosesNothing(t *testing.T) {
	var began, resumed atomic.Int64
	t.Run("histories", func(t *testing.T) {
		for i := range uint64(*wholeReturns) {
			seed := *wholeFirst + i
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				t.Parallel()
				playReturns(t, seed, &began, &resumed)
			})
		}
	})
	t.Logf("%d reconciliations began, and %d went on with another source", began.Load(), resumed.Load())
	if began.Load() < int64(*wholeReturns) || resumed.Load() < int64(*wholeReturns) {
		t.Error("so few test nothing")
	}
}

// returnTrial is a fleet, and all transactions.
type returnTrial struct {
	*wholeFleet
	rnd     *rand.Rand
	history []rangeWrite
}

// rangeWrite is a transaction that put, or removed, a range of registers.
type rangeWrite struct {
	dot      crdt.Dot
	time     crdt.Timestamp
	saw      crdt.Vector
	from, to int
	value    string // "": it removed them
}

func playReturns(t *testing.T, seed uint64, began, resumed *atomic.Int64) {
	o := simnet.Options{Seed: seed, Latency: 15 * time.Millisecond, Jitter: 10 * time.Millisecond}
	inBubble(t, 4, o, func(f *wholeFleet) {
		w := &returnTrial{wholeFleet: f, rnd: rand.New(rand.NewPCG(seed, 2))}
		for _, n := range f.nodes {
			n.options.Logger = slog.New(countReconciles{began, resumed})
			n.collects(time.Minute)
			n.namespace("edge")
		}
		f.pass(time.Second)
		for range returnRounds {
			w.round()
		}
		f.net.HealAll()
		f.converge("edge")
		for _, n := range f.nodes {
			w.check(n)
		}
	})
}

// round lets some nodes be away while removals come and are collected on either
// side, and return by way of links that break.
func (w *returnTrial) round() {
	away := w.rnd.Perm(len(w.nodes))[:1+w.rnd.IntN(2)]
	w.write(6)
	w.pass(time.Duration(w.rnd.IntN(2000)) * time.Millisecond)
	for _, i := range away {
		w.part(w.nodes[i])
	}
	for range 1 + w.rnd.IntN(3) {
		w.write(4)
		w.pass(time.Duration(1+w.rnd.IntN(4)) * time.Minute) // and some of it is collected
	}
	for _, i := range away {
		w.comeBack(w.nodes[i])
	}
	w.check(w.nodes[w.rnd.IntN(len(w.nodes))])
}

func (w *returnTrial) part(n *wholeNode) {
	for _, o := range w.nodes {
		if o != n {
			w.net.Cut(n.address, o.address)
		}
	}
}

// comeBack links a node with one other after the other, each for less than a
// reconciliation takes, or somewhat more.
func (w *returnTrial) comeBack(n *wholeNode) {
	for range w.rnd.IntN(5) {
		source := w.nodes[w.rnd.IntN(len(w.nodes))]
		if source == n {
			continue
		}
		w.net.Heal(n.address, source.address)
		w.awaitLink(n)
		w.pass(time.Duration(w.rnd.IntN(400)) * time.Millisecond)
		w.net.Cut(n.address, source.address)
		w.check(n)
		switch w.rnd.IntN(3) {
		case 0:
			w.write(2)
		case 1:
			w.write(2)
			w.pass(3 * time.Minute)
		}
	}
	if w.rnd.IntN(2) == 0 {
		w.net.HealAll()
		w.pass(time.Duration(w.rnd.IntN(3000)) * time.Millisecond)
	}
}

// awaitLink waits until the node has a link.
func (w *returnTrial) awaitLink(n *wholeNode) {
	w.t.Helper()
	for range 6000 {
		peers, err := n.db.Peers()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, p := range peers {
			if !p.Connected.IsZero() {
				return
			}
		}
		w.pass(10 * time.Millisecond)
	}
	w.t.Fatalf("%s has no link after a minute", n.address)
}

// write has random nodes put and remove ranges.
func (w *returnTrial) write(count int) {
	for range count {
		n := w.nodes[w.rnd.IntN(len(w.nodes))]
		tx := rangeWrite{from: w.rnd.IntN(returnKeys)}
		tx.to = min(tx.from+1+w.rnd.IntN(80), returnKeys)
		if w.rnd.IntN(2) == 0 {
			tx.value = fmt.Sprintf("%d %s", len(w.history), strings.Repeat("x", 60))
		}
		w.transact(n, tx)
	}
}

func (w *returnTrial) transact(n *wholeNode, tx rangeWrite) {
	w.t.Helper()
	synctest.Wait()
	tx.saw = n.namespace("edge").Vector()
	n.update("edge", func(t *Tx) (err error) {
		tx.dot.Writer = t.Writer()
		for i := tx.from; i < tx.to; i++ {
			if tx.value == "" {
				_, err = register(i).Delete(t)
			} else {
				err = register(i).Set(t, tx.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	tx.dot.Seq = n.namespace("edge").Vector()[tx.dot.Writer]
	if tx.dot.Seq == tx.saw[tx.dot.Writer] {
		return // there was nothing to remove
	}
	if tx.value != "" {
		tx.time = n.timeAt(tx.from, tx.dot)
	}
	w.history = append(w.history, tx)
}

// timeAt returns the timestamp of a transaction that wrote a register.
func (n *wholeNode) timeAt(i int, dot crdt.Dot) (at crdt.Timestamp) {
	n.fleet.t.Helper()
	k, err := crdt.MakeKey(crdt.Path{"k", fmt.Sprintf("%06d", i)}, crdt.TypeRegister, "")
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	err = n.namespace("edge").View(context.Background(), func(v *View) error {
		rec, err := v.Get(k)
		for j := range rec {
			if rec[j].Dot == dot {
				at = rec[j].Time
			}
		}
		return err
	})
	if err != nil || at == 0 {
		n.fleet.t.Fatalf("register %d has no event %v (%v)", i, dot, err)
	}
	return at
}

// expect returns what register i has under a vector, "" if nothing.
func (w *returnTrial) expect(i int, v crdt.Vector) string {
	var over []*rangeWrite
	for j := range w.history {
		if tx := &w.history[j]; tx.from <= i && i < tx.to && v.Covers(tx.dot) {
			over = append(over, tx)
		}
	}
	var winner *rangeWrite
	for _, tx := range over {
		superseded := false
		for _, o := range over {
			superseded = superseded || o.saw.Covers(tx.dot)
		}
		if superseded || tx.value == "" {
			continue
		}
		if winner == nil || (&crdt.Event{Dot: tx.dot, Time: tx.time}).Later(&crdt.Event{Dot: winner.dot, Time: winner.time}) {
			winner = tx
		}
	}
	if winner == nil {
		return ""
	}
	return winner.value
}

// check compares what a node reads with the oracle.
func (w *returnTrial) check(n *wholeNode) {
	w.t.Helper()
	synctest.Wait()
	err := n.namespace("edge").View(context.Background(), func(v *View) error {
		covers := n.namespace("edge").Vector()
		for i := range returnKeys {
			got, err := register(i).Get(v)
			if err != nil && !errors.Is(err, crdt.ErrMissing) {
				return err
			}
			if want := w.expect(i, covers); got != want {
				return fmt.Errorf("register %d is %.8q, the oracle says %.8q", i, got, want)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%s: %v", n.address, err)
	}
}

// countReconciles counts what nodes log of reconciliations.
type countReconciles struct{ began, resumed *atomic.Int64 }

func (c countReconciles) Enabled(context.Context, slog.Level) bool { return true }

func (c countReconciles) Handle(_ context.Context, r slog.Record) error {
	if !strings.HasPrefix(r.Message, "reconciling") {
		return nil
	}
	c.began.Add(1)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "goes on" && a.Value.Bool() {
			c.began.Add(-1)
			c.resumed.Add(1)
		}
		return true
	})
	return nil
}

func (c countReconciles) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c countReconciles) WithGroup(string) slog.Handler      { return c }
