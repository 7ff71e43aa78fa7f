package crdt

import (
	"fmt"
	"math/big"
	"slices"
)

// Counter is a counter that goes up and down, with exact reset. Every
// increment counts once: those of concurrent writers, of cloned and restored
// devices, and those concurrent with a reset, which takes away what it has
// seen and no more. Concurrent resets are one.
//
// Amounts only grow, and are named by their incarnation: the writer, and the
// seq of the slot's first event. A counter's records are
//
//	's' writer        the slot: what the writer's present incarnation amounts to
//	'h' node chunk    history: amounts of the node's earlier writers
//	'f'               the floor: amounts that resets took away
//
// and its value is, summed over all incarnations, the greatest amount seen in
// a slot or a chunk less the greatest floor seen. So whoever folds slots into
// history may do so at any time, beside anyone.
//
// The idea of folding is that of handoff counters: Almeida, Baquero, "Scalable
// Eventually Consistent Counters over Unreliable Networks", 2013. Resets are
// the observed ones of Baquero, Almeida, Lerche, "The Problem with Embedded
// CRDT Counters and a Solution", 2016.
type Counter struct{ handle }

const (
	slotSub    = "s"
	historySub = "h"
	floorSub   = "f"
)

// isCounterAmount reports whether sub is a slot's or a chunk's.
func isCounterAmount(sub string) bool {
	return sub != "" && (sub[:1] == slotSub || sub[:1] == historySub)
}

// NewCounter returns the counter at the path of the given parts.
func NewCounter(parts ...string) Counter { return CounterAt(parts) }

// CounterAt returns the counter at p.
func CounterAt(p Path) Counter { return Counter{newHandle(p, TypeCounter)} }

// Get returns the value. A counter that was reset is 0; one that was deleted,
// or never added to, is ErrMissing. Other errors are ErrWrongType, ErrOverflow
// if the value does not fit (Big does), and ErrValue for what is no counter.
func (c Counter) Get(v View) (int64, error) {
	sum, err := c.sum(v)
	if err != nil {
		return 0, err
	}
	value, ok := sum.int64()
	if !ok {
		return 0, c.fail(fmt.Errorf("%w: the value %s does not fit 64 bits", ErrOverflow, sum.big()))
	}
	return value, nil
}

// Big is Get without a bound.
func (c Counter) Big(v View) (*big.Int, error) {
	sum, err := c.sum(v)
	if err != nil {
		return nil, err
	}
	return sum.big(), nil
}

// Add adds delta, which may be negative. It reads and writes the slot of the
// transaction's writer; the first add of a writer also folds the slots of its
// node's other writers into the node's history. An amount can run over only
// in the slot, at 1<<64 for each direction: then Add changes nothing and
// returns ErrOverflow. An amount cannot expire: in an Until it is ErrExpiry.
func (c Counter) Add(tx Tx, delta int64) error {
	if expiryOf(tx) != 0 {
		return c.fail(errCounterExpiry)
	}
	w := tx.Writer()
	k, err := c.slot(w)
	if err != nil {
		return c.fail(err)
	}
	rec, err := c.getKey(tx, k)
	if err != nil {
		return err
	}
	slot := amount{Dot: Dot{Writer: w}} // a new incarnation: seq 0 is this event's own
	if begun := rec.Winner(); begun != nil {
		if slot, err = readSlot(begun, w); err != nil {
			return c.fail(err)
		}
		if delta == 0 {
			return nil
		}
	}
	if slot, err = slot.plus(delta); err != nil {
		return c.fail(err)
	}
	if len(rec) == 0 {
		if err := c.fold(tx); err != nil {
			return c.fail(err)
		}
	}
	return c.fail(tx.Put(k, appendSlot(lend(tx), slot)))
}

// slot returns the key of the slot of w.
func (c Counter) slot(w WriterID) (Key, error) {
	return c.at(slotKey(w))
}

// Reset takes away all amounts that the transaction can see, and reports
// whether there is a counter.
func (c Counter) Reset(tx Tx) (found bool, err error) {
	t, err := c.tally(tx)
	if err != nil || !t.shows {
		return false, err
	}
	return true, c.putFloor(tx, t, greatest(t.floor, t.seen))
}

// Delete resets the counter and removes it, and reports whether there was one.
// The floor stays, or amounts that come back by a concurrent increment would
// count again from zero. It stays for good, some 40 bytes for each run that had
// added: that run may go on in a clone which has not seen the deletion, for
// longer than anything is retained, and to remove the floor, be it by an
// ordinary event, would let its old amount come back.
func (c Counter) Delete(tx Tx) (found bool, err error) {
	t, err := c.tally(tx)
	if err != nil || !t.shows {
		return false, err
	}
	for _, it := range t.items {
		if isCounterAmount(it.sub) {
			if err := tx.Remove(c.key + Key(it.sub)); err != nil {
				return false, c.fail(err)
			}
		}
	}
	floor, err := c.forget(tx, t, greatest(t.floor, t.seen))
	if err != nil {
		return false, c.fail(err)
	}
	return true, c.putFloor(tx, t, floor)
}

// forget drops from floor the incarnation that this same transaction began
// and removed: nobody else will ever see it, and an add that follows in the
// transaction begins an incarnation of the same name.
func (c Counter) forget(tx Tx, t tally, floor []amount) ([]amount, error) {
	slot := c.key + Key(slotKey(tx.Writer()))
	if !slices.ContainsFunc(t.seen, func(a amount) bool { return a.Writer == tx.Writer() }) {
		return floor, nil
	}
	rec, err := tx.Get(slot) // if the slot is there, its removal is this transaction's
	if err != nil || len(rec) != 1 || rec[0].Writer != tx.Writer() {
		return floor, err
	}
	return slices.DeleteFunc(floor, func(a amount) bool { return a.Dot == rec[0].Dot }), nil
}

// putFloor writes a floor unless it is there already.
func (c Counter) putFloor(tx Tx, t tally, floor []amount) error {
	if slices.Equal(floor, t.floor) {
		return nil
	}
	return c.put(lasting(tx), floorSub, appendAmounts(nil, floor))
}

func foldCounter(items []item) (Raw, error) {
	t, err := readTally(items)
	if err != nil {
		return nil, err
	}
	sum := t.sum()
	if i, ok := sum.int64(); ok {
		return AppendInt(nil, i), nil
	}
	if sum.hi == 0 && !sum.negative {
		return AppendUint(nil, sum.lo), nil
	}
	return nil, fmt.Errorf("%w: the value %s does not fit 64 bits", ErrOverflow, sum.big())
}
