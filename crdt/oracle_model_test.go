package crdt

import (
	"errors"
	"fmt"
	"iter"
)

// The places that a history writes to: few, so that everything collides. The
// second register and the second counter are within the map.
var (
	oracleRegisters = [2]Register[int64]{NewRegister[int64]("r"), NewRegister[int64]("m", "r")}
	oracleCounters  = [2]Counter{NewCounter("c"), NewCounter("m", "c")}
	oracleSet       = NewSet[int64](AddWins, "s")
	oracleMap       = NewMap[map[string]any]("m")
)

// known is a set of transactions, by number.
type known uint64

func (k known) has(tx int) bool     { return k>>tx&1 == 1 }
func (k known) within(o known) bool { return k&^o == 0 }

// transaction is what the oracle knows of one.
type transaction struct {
	saw    known // what its device knew before it
	dot    Dot
	time   Timestamp
	effect effect
}

// effect is what a transaction comes down to, operation by operation.
type effect struct {
	registers [2]registerEffect
	counters  [2]counterEffect
	elements  [2]elementEffect
}

type registerEffect struct {
	touched bool  // it took away what it saw
	value   int64 // what it left, 0 for nothing
	expires int64 // when that goes, 0 for never
}

type counterEffect struct {
	taken   bool  // it took away what it saw
	deleted bool  // it deleted the counter
	counts  bool  // it added after that
	amount  int64 // how much
}

type elementEffect struct {
	touched, added bool
	expires        int64
}

// lives reports whether what expires at a time, or never, is there before it.
func lives(expires, at int64) bool { return expires == 0 || at < expires }

func (e *effect) set(i int, n, expires int64) { e.registers[i] = registerEffect{true, n, expires} }

// unset takes a register away, if there is one to be seen.
func (e *effect) unset(i int, before reading) {
	if there := e.registers[i]; there.value != 0 || !there.touched && before.registers[i] != 0 {
		e.set(i, 0, 0)
	}
}

// removeElement takes an element away, if it is to be seen.
func (e *effect) removeElement(i int, before reading) {
	if el := e.elements[i]; el.added || !el.touched && before.elements[i] {
		e.elements[i] = elementEffect{touched: true}
	}
}

func (e *effect) add(i int, n int64) {
	e.counters[i].counts = true
	e.counters[i].amount += n
}

// reset takes away what was added; the counter is there as before.
func (e *effect) reset(i int) {
	e.counters[i].taken = true
	e.counters[i].amount = 0
}

func (e *effect) deleteCounter(i int) { e.counters[i] = counterEffect{taken: true, deleted: true} }

func (e *effect) deleteMap(before reading) {
	e.unset(1, before)
	e.deleteCounter(1)
}

// reading is all that can be read.
type reading struct {
	registers [2]int64 // 0: missing
	counters  [2]int64
	there     [2]bool // the counters
	elements  [2]bool
}

func (r reading) String() string {
	return fmt.Sprintf("r=%d m/r=%d c=%d(%v) m/c=%d(%v) s=%v", r.registers[0], r.registers[1],
		r.counters[0], r.there[0], r.counters[1], r.there[1], r.elements)
}

// survives reports whether no transaction in k that takes saw tx.
func (f *trial) survives(tx int, k known, takes func(*effect) bool) bool {
	for i := range f.history {
		if k.has(i) && f.history[i].saw.has(tx) && takes(&f.history[i].effect) {
			return false
		}
	}
	return true
}

// expected is the oracle: what a replica that knows k must read at a time.
func (f *trial) expected(k known, at int64) (r reading) {
	var winner [2]int
	for i := range f.history {
		if !k.has(i) {
			continue
		}
		e := &f.history[i].effect
		for j := range 2 {
			if e.registers[j].value != 0 && lives(e.registers[j].expires, at) && f.survives(i, k, func(o *effect) bool { return o.registers[j].touched }) &&
				(r.registers[j] == 0 || f.later(i, winner[j])) {
				r.registers[j], winner[j] = e.registers[j].value, i
			}
			if c := e.counters[j]; c.counts {
				if f.survives(i, k, func(o *effect) bool { return o.counters[j].taken }) {
					r.counters[j] += c.amount
				}
				if f.survives(i, k, func(o *effect) bool { return o.counters[j].deleted }) {
					r.there[j] = true
				}
			}
			if e.elements[j].added && lives(e.elements[j].expires, at) && f.survives(i, k, func(o *effect) bool { return o.elements[j].touched }) {
				r.elements[j] = true
			}
		}
	}
	return r
}

// later reports whether transaction a wins over b where both wrote at once.
func (f *trial) later(a, b int) bool {
	x, y := &f.history[a], &f.history[b]
	if x.time != y.time {
		return x.time > y.time
	}
	return x.dot.Compare(y.dot) > 0
}

// read reads the same by the lenses.
func (f *trial) read(v View) (r reading, err error) {
	for j := range 2 {
		r.registers[j], err = f.rules.readRegister(v, oracleRegisters[j])
		if err != nil && !errors.Is(err, ErrMissing) {
			return r, err
		}
		r.counters[j], err = oracleCounters[j].Get(v)
		r.there[j] = err == nil
		if err != nil && !errors.Is(err, ErrMissing) {
			return r, err
		}
	}
	elements, err := oracleSet.List(v)
	for _, e := range elements {
		r.elements[e] = true
	}
	return r, err
}

// hiding is a View of a node that has collected some removals: those whose
// numbers, taken modulo 64, are bits of drop.
type hiding struct {
	View
	drop uint64
}

func (h hiding) left(rec Record) Record {
	if h.drop == 0 {
		return rec
	}
	var left Record
	for i := range rec {
		if e := &rec[i]; !e.Removed || h.drop>>((uint64(e.Writer[0])+e.Seq)%64)&1 == 0 {
			left = append(left, *e)
		}
	}
	return left
}

func (h hiding) Get(k Key) (Record, error) {
	rec, err := h.View.Get(k)
	return h.left(rec), err
}

func (h hiding) Scan(s Span) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for e, err := range h.View.Scan(s) {
			if e.Record = h.left(e.Record); len(e.Record) > 0 && !yield(e, err) {
				return
			}
		}
	}
}
