package crdt

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// rules are what a history is played by. The zero value is the real thing;
// each mutation replaces one function.
type rules struct {
	// lax lets the oracle put up with merges that should have been refused,
	// and with refusals, so that it is the states that tell.
	lax           bool
	merge         func(r *Replica, d Delta) error
	readRegister  func(v View, reg Register[int64]) (int64, error)
	resetCounter  func(tx Tx, c Counter) error
	deleteCounter func(tx Tx, c Counter) error
	// restart begins a run of an image in the place of the replica before.
	restart func(r, before *Replica, w WriterID)
}

func (r rules) orDefault() rules {
	if r.merge == nil {
		r.merge = (*Replica).Merge
	}
	if r.readRegister == nil {
		r.readRegister = func(v View, reg Register[int64]) (int64, error) { return reg.Get(v) }
	}
	if r.resetCounter == nil {
		r.resetCounter = func(tx Tx, c Counter) error { return second(c.Reset(tx)) }
	}
	if r.deleteCounter == nil {
		r.deleteCounter = func(tx Tx, c Counter) error { return second(c.Delete(tx)) }
	}
	if r.restart == nil {
		r.restart = func(r, _ *Replica, w WriterID) { r.Restart(w) }
	}
	return r
}

// TestOracleMissesEachRule takes out one rule at a time: within a fraction of
// the histories that the rules pass, a state must come about that tells.
func TestOracleMissesEachRule(t *testing.T) {
	const enough = 100_000
	const wrong, apart = "the oracle says", "once removals are collected"
	for _, c := range []struct {
		rule  string
		rules rules
		tells string
	}{
		{"no fold reads a removal", rules{readRegister: readRemovals}, apart},
		{"never prune a concurrent loser", rules{merge: mergePruned}, wrong},
		{"the floor stays on delete", rules{deleteCounter: deleteWithFloor}, wrong},
		{"floor entries are not trimmed", rules{resetCounter: resetTrimmed}, wrong},
		{"a vector is held back for unknown writers", rules{merge: mergeUnknown, lax: true}, wrong},
		{"parents are what the vector holds", rules{restart: restartWithLostParents, lax: true}, wrong},
		{"every open is a new writer", rules{restart: restartAsBefore}, wrong},
		{"a delta is applied whole", rules{merge: mergeHalf}, wrong},
		{"a delta leaves no gap", rules{merge: mergeOverGap, lax: true}, wrong},
		{"removals travel", rules{merge: mergeWithoutRemovals}, wrong},
		{"expired values travel", rules{merge: mergeWithoutExpired}, wrong},
	} {
		t.Run(strings.ReplaceAll(c.rule, " ", "-"), func(t *testing.T) {
			for seed := range uint64(enough) {
				if err := playHistory(seed+1, c.rules, nil); err != nil && strings.Contains(err.Error(), c.tells) {
					t.Logf("taken out: %s\nmissed after %d histories: %v", c.rule, seed+1, err)
					return
				}
			}
			t.Fatalf("%d histories do not miss the rule: %s", enough, c.rule)
		})
	}
}

// readRemovals lets a removal beat a concurrent value that is older.
func readRemovals(v View, reg Register[int64]) (int64, error) {
	rec, err := v.Get(reg.key)
	if w := rec.Winner(); w != nil {
		for i := range rec {
			if rec[i].Removed && rec[i].Later(w) {
				return 0, ErrMissing
			}
		}
	}
	n, err2 := reg.Get(v)
	return n, errors.Join(err, err2)
}

// mergePruned keeps of a register's concurrent values the winner only.
func mergePruned(r *Replica, d Delta) error {
	err := r.Merge(d)
	for _, reg := range oracleRegisters {
		rec := r.root.get(reg.key)
		w := rec.Winner()
		pruned := slices.DeleteFunc(slices.Clone(rec), func(e Event) bool { return !e.Removed && e.Dot != w.Dot })
		if len(pruned) < len(rec) {
			r.root = r.root.put(Entry{reg.key, pruned})
		}
	}
	return err
}

// deleteWithFloor removes the floor with the rest.
func deleteWithFloor(tx Tx, c Counter) error {
	found, err := c.Delete(tx)
	if err != nil || !found {
		return err
	}
	return tx.Remove(c.key + floorSub)
}

// resetTrimmed drops from the floor what no slot and no history mentions.
func resetTrimmed(tx Tx, c Counter) error {
	found, err := c.Reset(tx)
	if err != nil || !found {
		return err
	}
	t, err := c.tally(tx)
	if err != nil {
		return err
	}
	trimmed := slices.DeleteFunc(t.floor, func(a amount) bool { return find(t.seen, a.Dot).Seq == 0 })
	return c.putFloor(tx, tally{}, trimmed)
}

// mergeUnknown takes a vector at its word where writers are unknown: they
// count for themselves only.
func mergeUnknown(r *Replica, d Delta) error {
	err := r.Merge(d)
	if !errors.Is(err, ErrUnknownWriter) {
		return err
	}
	return mergeUnder(r, d.Entries, r.lineage.Expand(d.To))
}

// mergeUnder joins entries under a context, and believes it.
func mergeUnder(r *Replica, es []Entry, to Vector) error {
	for _, e := range es {
		r.root = r.root.put(Entry{e.Key, Join(r.root.get(e.Key), r.vector, e.Record, to)})
	}
	r.vector.Join(to)
	return nil
}

// restartWithLostParents begins with the parents that the device had before
// it was set back, as if an image held what came after it.
func restartWithLostParents(r, before *Replica, w WriterID) {
	r.Restart(w)
	rec := &WriterRecord{Writer: w, Node: r.node, Parents: before.lineage.Past(before.vector).Branches(r.node)}
	r.begun = r.lineage.Add(rec) == nil
	r.records[w] = rec
}

// restartAsBefore goes on as the writer that the image was taken of.
func restartAsBefore(r, _ *Replica, _ WriterID) {
	r.spent, r.begun = false, r.lineage.Has(r.writer)
}

// mergeHalf loses the second half of a delta's records, and takes its vector.
func mergeHalf(r *Replica, d Delta) error {
	d.Entries = d.Entries[:(len(d.Entries)+1)/2]
	return r.Merge(d)
}

// mergeOverGap takes a delta that begins beyond what is here.
func mergeOverGap(r *Replica, d Delta) error {
	d.From = nil
	return r.Merge(d)
}

// mergeWithoutRemovals loses the removals of a delta.
func mergeWithoutRemovals(r *Replica, d Delta) error {
	var es []Entry
	for _, e := range d.Entries {
		if e.Record = e.Record.Visible(); len(e.Record) > 0 {
			es = append(es, e)
		}
	}
	d.Entries = es
	return r.Merge(d)
}

// mergeWithoutExpired leaves out what has expired by its own clock.
func mergeWithoutExpired(r *Replica, d Delta) error {
	es := slices.Clone(d.Entries)
	for i := range es {
		es[i].Record = slices.DeleteFunc(slices.Clone(es[i].Record), func(e Event) bool { return e.Expired(r.clock.Last().Millis()) })
	}
	d.Entries = slices.DeleteFunc(es, func(e Entry) bool { return len(e.Record) == 0 })
	return r.Merge(d)
}
