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
	t := transaction{saw: d.known, dot: Dot{d.Writer(), d.vector[d.Writer()] + 1}}
	abort := f.rnd.IntN(20) == 0
	f.tell("%s, transaction %d:", d.name, len(f.history))
	err := d.Update(f.wall+d.drift, func(tx Tx) error {
		t.time = tx.(*memTx).time
		for range 1 + f.rnd.IntN(3) {
			if err := f.operate(tx, &t.effect); err != nil {
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
	before := f.expected(d.known)
	f.history = append(f.history, t)
	after := f.expected(d.known | 1<<(len(f.history)-1))
	f.history = f.history[:len(f.history)-1]
	if before != after {
		return fmt.Errorf("%s wrote nothing, but the transaction changes\n  %v\nto\n  %v", d.name, before, after)
	}
	return nil
}

// operate performs one random operation, and notes its effect.
func (f *trial) operate(tx Tx, e *effect) error {
	i, n := f.rnd.IntN(2), 1+f.rnd.Int64N(9)
	switch op := f.ops[f.rnd.IntN(len(f.ops))]; {
	case op < 4:
		f.tell("  set register %d to %d", i, n)
		e.set(i, n)
		return oracleRegisters[i].Set(tx, n)
	case op < 6:
		f.tell("  delete register %d", i)
		e.set(i, 0)
		return second(oracleRegisters[i].Delete(tx))
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
		f.tell("  add element %d", i)
		e.elements[i].added = true
		return oracleSet.Add(tx, int64(i))
	case op < 19:
		f.tell("  remove element %d", i)
		e.elements[i] = elementEffect{removed: true}
		return second(oracleSet.Remove(tx, int64(i)))
	case op < 20:
		f.tell("  put a map with register %d", n)
		e.deleteMap()
		e.set(1, n)
		return oracleMap.Put(tx, map[string]any{"r": n})
	default:
		f.tell("  delete the map")
		e.deleteMap()
		return second(oracleMap.Delete(tx))
	}
}

func second(_ bool, err error) error { return err }
