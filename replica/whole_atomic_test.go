package replica

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// roundKeys is how many registers one transaction of these tests writes.
const roundKeys = 50

func roundKey(i int) crdt.Register[int] { return crdt.NewRegister[int]("round", fmt.Sprint(i)) }

// writeRound writes n to every key, in one transaction.
func writeRound(tx *Tx, n int) error {
	for i := range roundKeys {
		if err := roundKey(i).Set(tx, n); err != nil {
			return err
		}
	}
	return nil
}

// readRound returns what all keys hold, or an error if they differ: then a
// part of a transaction was seen.
func readRound(v crdt.View) (int, error) {
	first, err := roundKey(0).Get(v)
	if err != nil && !errors.Is(err, crdt.ErrMissing) {
		return 0, err
	}
	for i := range roundKeys {
		n, err := roundKey(i).Get(v)
		if err != nil && !errors.Is(err, crdt.ErrMissing) {
			return 0, err
		}
		if n != first {
			return 0, fmt.Errorf("key 0 holds %d and key %d holds %d", first, i, n)
		}
	}
	return first, nil
}

// observeRounds reads, over and over, what a node shows to a view and to a
// watcher, until ctx ends.
func observeRounds(ctx context.Context, ns *Namespace) error {
	for ev, err := range ns.Watch(ctx, WatchOptions{}) {
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) {
			return nil
		}
		if err == nil && ev.Kind == Change {
			_, err = readRound(ev.At)
		}
		if err == nil && ev.Kind == Synced {
			err = ns.View(ctx, func(v *View) error { _, err := readRound(v); return err })
			if errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestATransactionIsSeenWholeEverywhere(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond, Jitter: 2 * time.Millisecond, BreakRate: 0.02}, func(f *wholeFleet) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, len(f.nodes))
		for _, n := range f.nodes {
			ns := n.namespace("edge")
			go func() { ended <- observeRounds(ctx, ns) }()
		}
		for round := 1; round <= 200; round++ {
			n := f.nodes[round%2] // two writers, so that deltas join as well as replace
			n.update("edge", func(tx *Tx) error { return writeRound(tx, round) })
			f.pass(time.Duration(round%7) * time.Millisecond)
		}
		f.converge("edge")
		cancel()
		for range f.nodes {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAReceiverThatLosesPowerHasAllOfATransactionOrNothing(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		writer, receiver := f.nodes[0], f.nodes[1]
		receiver.namespace("edge")
		for round := 1; round <= 60; round++ {
			writer.update("edge", func(tx *Tx) error { return writeRound(tx, round) })
			f.pass(time.Duration(round%5) * 500 * time.Microsecond)
			if round%3 == 0 {
				receiver.cutPower()
			}
			err := receiver.namespace("edge").View(context.Background(), func(v *View) error {
				_, err := readRound(v)
				return err
			})
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		f.converge("edge")
	})
}

func TestALargeTransactionArrivesWhole(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		f.nodes[0].namespace("edge")
		f.nodes[1].namespace("edge")
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		ns := f.nodes[1].namespace("edge")
		go func() { ended <- observeRounds(ctx, ns) }()
		pad := make([]byte, 256<<10)
		// 50 keys, and 12 MiB beside them: far beyond what a delta may hold
		// in memory, so it is staged on disk and ingested.
		f.nodes[0].update("edge", func(tx *Tx) error {
			for i := range roundKeys {
				if err := crdt.NewRegister[[]byte]("pad", fmt.Sprint(i)).Set(tx, pad); err != nil {
					return err
				}
			}
			return writeRound(tx, 1)
		})
		f.converge("edge")
		f.nodes[1].restart()
		f.converge("edge")
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
