package crdt

import (
	"errors"
	"fmt"
)

var errAbort = errors.New("the application changed its mind")

// update runs a random transaction on d, and tells the oracle of it.
func (f *trial) update(d *device) error {
	if len(f.history) == maxTransactions {
		return nil
	}
	f.wall += f.rnd.Int64N(3)
	now := f.clock(d)
	before := f.expected(d.known, now)
	t := transaction{saw: d.known, dot: Dot{d.Writer(), d.vector[d.Writer()] + 1}}
	abort := f.rnd.IntN(20) == 0
	f.tell("%s, transaction %d:", d.name, len(f.history))
	err := d.Update(now, func(tx Tx) error {
		t.time = tx.(*memTx).time
		for range 1 + f.rnd.IntN(3) {
			if err := f.operate(tx, &t.effect, before, now); err != nil {
				return err
			}
		}
		if abort {
			return errAbort
		}
		return nil
	})
	switch {
	case abort && errors.Is(err, errAbort):
		f.tell("  is given up")
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", d.name, err)
	case !d.vector.Covers(t.dot):
		return f.checkIdle(d, t)
	}
	d.known |= 1 << len(f.history)
	f.history = append(f.history, t)
	return nil
}

// checkIdle checks that a transaction that wrote nothing had nothing to write.
func (f *trial) checkIdle(d *device, t transaction) error {
	now := f.clock(d)
	before := f.expected(d.known, now)
	f.history = append(f.history, t)
	after := f.expected(d.known|1<<(len(f.history)-1), now)
	f.history = f.history[:len(f.history)-1]
	if before != after {
		return fmt.Errorf("%s wrote nothing, but the transaction changes\n  %v\nto\n  %v", d.name, before, after)
	}
	return nil
}

// operate performs one random operation at a time, and notes its effect. Some
// of what is written expires soon.
func (f *trial) operate(tx Tx, e *effect, before reading, now int64) error {
	i, n := f.rnd.IntN(2), 1+f.rnd.Int64N(9)
	until, expires := tx, int64(0)
	if f.rnd.IntN(3) == 0 {
		expires = max(now, 0) + 1 + f.rnd.Int64N(12)
		until = Until(tx, expires)
	}
	switch op := f.ops[f.rnd.IntN(len(f.ops))]; {
	case op < 4:
		f.tell("  set register %d to %d until %d", i, n, expires)
		e.set(i, n, expires)
		return oracleRegisters[i].Set(until, n)
	case op < 6:
		f.tell("  delete register %d", i)
		e.unset(i, before)
		return second(oracleRegisters[i].Delete(until))
	case op < 11:
		if op == 10 {
			n = -n
		}
		f.tell("  add %d to counter %d", n, i)
		e.add(i, n)
		return oracleCounters[i].Add(tx, n)
	case op < 13:
		f.tell("  reset counter %d", i)
		e.reset(i)
		return f.rules.resetCounter(tx, oracleCounters[i])
	case op < 15:
		f.tell("  delete counter %d", i)
		e.deleteCounter(i)
		return f.rules.deleteCounter(tx, oracleCounters[i])
	case op < 17:
		f.tell("  add element %d until %d", i, expires)
		e.elements[i] = elementEffect{true, true, expires}
		return oracleSet.Add(until, int64(i))
	case op < 19:
		f.tell("  remove element %d", i)
		e.removeElement(i, before)
		return second(oracleSet.Remove(tx, int64(i)))
	case op < 20:
		f.tell("  put a map with register %d until %d", n, expires)
		e.deleteMap(before)
		e.set(1, n, expires)
		return oracleMap.Put(until, map[string]any{"r": n})
	default:
		f.tell("  delete the map")
		e.deleteMap(before)
		return second(oracleMap.Delete(until))
	}
}

func second(_ bool, err error) error { return err }
