package crdt

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// pasts are what was ever made of a counter, with the records that each was
// made of.
type pasts []remembered

type remembered struct {
	past
	records map[Key]string
}

func recordsOf(t rapid.TB, v View) map[Key]string {
	records := map[Key]string{}
	for e, err := range v.Scan(seen.span()) {
		if err != nil {
			t.Fatal(err)
		}
		records[e.Key] = string(AppendCanonical(nil, e.Record))
	}
	return records
}

// changed returns the keys at which two states differ, in order.
func changed(a, b map[Key]string) (keys []Key) {
	all := map[Key]string{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if a[k] != b[k] {
			keys = append(keys, k)
		}
	}
	return keys
}

// check compares the sum by whatever was made of other records, those of other
// replicas as well, with that of all records.
func (p *pasts) check(t rapid.TB, v View) (followed int) {
	t.Helper()
	now := recordsOf(t, v)
	all, err := seen.tally(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, was := range append(*p, remembered{newPast(all), now}) {
		past, ok, err := seen.follow(v, was.past, changed(was.records, now))
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue
		}
		followed++
		if sum := past.up.minus(past.down); sum != all.sum() || !all.shows {
			t.Fatalf("followed, the sum is %s; by all records it is %s", sum.big(), all.sum().big())
		}
		*p = append(*p, remembered{past, now})
	}
	*p = (*p)[max(0, len(*p)-20):]
	return followed
}

// cloned adds a clone of r to the fleet, as a copied card is.
func cloned(r *Replica, writer byte) *Replica {
	c := r.Clone()
	c.Restart(WriterID{writer})
	return c
}

// What is remembered of a counter is right with any slots beside it, in any
// history of adds, resets, deletions, restarts and clones.
func TestAnyHistoryOfACounterReadsTheSameFromItsPast(t *testing.T) {
	used := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := duo()
		fleet, past, writer := []*Replica{a, b}, pasts{}, byte(0x20)
		draw := func(t *rapid.T) *Replica { return rapid.SampledFrom(fleet).Draw(t, "replica") }
		run := func() byte { writer++; return writer }
		t.Repeat(map[string]func(*rapid.T){
			"add":  func(t *rapid.T) { add(t, draw(t), rapid.Int64Range(-3, 3).Draw(t, "delta")) },
			"add2": func(t *rapid.T) { add(t, draw(t), rapid.Int64Range(-3, 3).Draw(t, "delta")) },
			"reset": func(t *rapid.T) {
				commitFound(t, draw(t), rapid.SampledFrom([]func(Tx) (bool, error){seen.Reset, seen.Delete}).Draw(t, "how"))
			},
			"restart": func(t *rapid.T) { restart(draw(t), run()) },
			"clone": func(t *rapid.T) {
				if len(fleet) < 4 {
					fleet = append(fleet, cloned(draw(t), run()))
				}
			},
			"meet": func(t *rapid.T) {
				if x, y := draw(t), draw(t); x != y {
					meet(t, x, y)
				}
			},
			"": func(t *rapid.T) {
				for _, r := range fleet {
					used += past.check(t, r.View())
				}
			},
		})
	})
	if used == 0 {
		t.Error("nothing was ever remembered")
	}
}

// memory is a View of a replica that remembers, and counts what it reads.
type memory struct {
	View
	fold any
	was  map[Key]string
	now  map[Key]string
	read int
}

func (m *memory) look(t testing.TB, r *Replica) *memory {
	m.View, m.now, m.read = r.View(), recordsOf(t, r.View()), 0
	return m
}

func (m *memory) Recall(Span) (any, []Key) { return m.fold, changed(m.was, m.now) }

func (m *memory) Remember(_ Span, fold any, _ int) { m.fold, m.was = fold, m.now }

func (m *memory) Get(k Key) (Record, error) {
	m.read++
	return m.View.Get(k)
}

func (m *memory) Scan(s Span) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range m.View.Scan(s) {
			m.read++
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestOfARememberedCounterOnlyWhatChangedIsRead(t *testing.T) {
	a, b := duo()
	for run := range 200 {
		add(t, restart(a, 0x20+byte(run)), 1)
	}
	add(t, b, 5)
	meet(t, a, b)
	m := &memory{}
	check := func(want int64, reads int) {
		t.Helper()
		if got, err := seen.Get(m.look(t, a)); got != want || err != nil || m.read != reads {
			t.Errorf("%d, %v from %d records, want %d from %d", got, err, m.read, want, reads)
		}
	}
	check(205, 205) // four chunks, two slots, and the slots removed
	check(205, 0)
	add(t, a, 1)
	check(206, 1)
	add(t, b, -5)
	add(t, a, 1)
	meet(t, a, b)
	check(202, 2)
	check(202, 0)
	add(t, restart(a, 0x10), 1)
	check(203, 206) // history changed: all are read again
	check(203, 0)
	commitRaw(t, a, seen.key+"t", nil) // of a later release
	if _, err := seen.Get(m.look(t, a)); !errors.Is(err, ErrValue) {
		t.Errorf("beside a record that nobody knows: %v", err)
	}
}

func TestAShortHistoryIsNotRemembered(t *testing.T) {
	a, _ := duo()
	for run := range counterMemoAmounts {
		add(t, restart(a, 0x20+byte(run)), 1)
	}
	m := &memory{}
	if _, err := seen.Get(m.look(t, a)); err != nil || m.fold != nil {
		t.Errorf("%v; %v is remembered of %d amounts", err, m.fold, counterMemoAmounts-1)
	}
	add(t, restart(a, 0xff), 1)
	if _, err := seen.Get(m.look(t, a)); err != nil || m.fold == nil {
		t.Errorf("%v; nothing is remembered of %d amounts", err, counterMemoAmounts)
	}
}

// The first add of a run costs the same after any number of runs.
func TestAFirstAddWritesLittleAfterManyRuns(t *testing.T) {
	const runs = 1000
	r, _ := duo()
	for run := range runs {
		r.Restart(WriterID{1, byte(run >> 8), byte(run)})
		written, read := 0, 0
		err := r.Update(1, func(tx Tx) error { return seen.Add(&meteredTx{tx, &written, &read}, 1) })
		if err != nil {
			t.Fatal(err)
		}
		if written >= 4096 || read >= 4096 {
			t.Fatalf("the add of run %d writes %d bytes and reads %d", run, written, read)
		}
	}
	if got := read(t, r, seen.Get); got != runs {
		t.Errorf("the counter reads %d after %d runs", got, runs)
	}
}

// meteredTx counts the bytes of keys and values.
type meteredTx struct {
	Tx
	written, read *int
}

func (m *meteredTx) Put(k Key, value []byte) error {
	*m.written += len(k) + len(value)
	return m.Tx.Put(k, value)
}

func (m *meteredTx) Remove(k Key) error {
	*m.written += len(k)
	return m.Tx.Remove(k)
}

// size counts no removals: those of former slots are there until they are
// collected.
func (m *meteredTx) size(k Key, rec Record) {
	for _, e := range rec.Visible() {
		*m.read += len(k) + len(e.Value)
	}
}

func (m *meteredTx) Get(k Key) (Record, error) {
	rec, err := m.Tx.Get(k)
	m.size(k, rec)
	return rec, err
}

func (m *meteredTx) Last(s Span) (Entry, bool, error) {
	e, ok, err := m.Tx.Last(s)
	m.size(e.Key, e.Record)
	return e, ok, err
}

func (m *meteredTx) Scan(s Span) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range m.Tx.Scan(s) {
			m.size(e.Key, e.Record)
			if !yield(e, err) {
				return
			}
		}
	}
}
