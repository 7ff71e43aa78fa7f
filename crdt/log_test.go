package crdt

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
)

func appendLog(t *testing.T, r *Replica, log Log[string], values ...string) {
	t.Helper()
	commit(t, r, 1, func(tx Tx) error {
		for _, v := range values {
			if err := log.Append(tx, v); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestLogKeepsTheOrderOfOneWriter(t *testing.T) {
	bothTxs(t, func(t *testing.T, in func(func(Tx) error) func(Tx) error) {
		log := NewLog[string]("l")
		a, _ := duo()
		commit(t, a, 1, in(func(tx Tx) error {
			return errors.Join(log.Append(tx, "1"), log.Append(tx, "2"), log.Append(tx, "3"))
		}))
		a.Restart(WriterID{0}) // its id is less, its entry comes later
		appendLog(t, a, log, "4")
		wantEqual(t, "entries", read(t, a, log.List), []string{"1", "2", "3", "4"})
	})
}

func TestLogInterleavesConcurrentAppendsTheSameEverywhere(t *testing.T) {
	log := NewLog[string]("l")
	a, b := duo()
	appendLog(t, a, log, "0")
	meet(t, a, b)
	appendLog(t, a, log, "a1", "a2")
	appendLog(t, b, log, "b1")
	meet(t, a, b)
	wantEqual(t, "entries", read(t, a, log.List), []string{"0", "a1", "b1", "a2"})
	appendLog(t, b, log, "after all")
	meet(t, a, b)
	wantEqual(t, "entries", read(t, a, log.List), []string{"0", "a1", "b1", "a2", "after all"})
}

func TestLogTrimRemovesTheOldest(t *testing.T) {
	log := NewLog[string]("l")
	for _, c := range []struct{ keep, removed int }{{2, 1}, {3, 0}, {99, 0}, {0, 3}, {-1, 3}} {
		a, b := duo()
		appendLog(t, a, log, "1", "2", "3")
		meet(t, a, b)
		appendLog(t, b, log, "beside it")
		var removed int
		commit(t, a, 1, func(tx Tx) (err error) { removed, err = log.Trim(tx, c.keep); return err })
		wantEqual(t, "removed", removed, c.removed)
		meet(t, a, b)
		want := append([]string{"1", "2", "3"}[c.removed:], "beside it")
		wantEqual(t, "entries", read(t, a, log.List), slices.Clip(want))
		appendLog(t, a, log, "last")
		wantEqual(t, "entries", read(t, a, log.List), append(want, "last"))
	}
}

func TestLogIndexGoesOnBehindRemovedEntries(t *testing.T) {
	log := NewLog[string]("l")
	a, b := duo()
	appendLog(t, a, log, "1", "2")
	meet(t, a, b)
	commitFound(t, a, log.Delete)
	appendLog(t, a, log, "3") // an index of its own, though 1 and 2 are free
	if next, err := log.nextIndex(a.View()); err != nil || next != 4 {
		t.Errorf("next index %d (%v) behind the third entry, want 4", next, err)
	}
	appendLog(t, b, log, "beside the deletion")
	meet(t, a, b)
	wantEqual(t, "entries", read(t, a, log.List), []string{"3", "beside the deletion"})
	next, err := log.nextIndex(a.View())
	if err != nil || next != 4 {
		t.Errorf("next index %d, %v, want 4", next, err)
	}
}

func TestLogRefusesTheIndexBehindTheLast(t *testing.T) {
	log := NewLog[string]("l")
	a, _ := duo()
	w := a.Writer()
	sub := append(binary.BigEndian.AppendUint64(nil, math.MaxUint64), w[:]...)
	commitRaw(t, a, log.key+Key(sub), []byte{0xa1, 'x'})
	if err := a.Update(1, func(tx Tx) error { return log.Append(tx, "y") }); !errors.Is(err, ErrOverflow) {
		t.Errorf("append: %v", err)
	}
	wantEqual(t, "entries", read(t, a, log.List), []string{"x"})
	commitRaw(t, a, log.key+"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", nil)
	wantErr(t, a, log.List, ErrValue)
}

func TestLogKeepsItsBytes(t *testing.T) {
	log := NewLog[string]("l")
	a, b := duo()
	appendLog(t, a, log, "1", "2")
	appendLog(t, b, log, "1")
	commit(t, a, 1, func(tx Tx) error { _, err := log.Trim(tx, 1); return err })
	meet(t, a, b)
	checkGolden(t, "log.golden", dump(t, a))
}
