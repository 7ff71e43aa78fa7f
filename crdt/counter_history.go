package crdt

import (
	"encoding/binary"
	"fmt"
	"math"
)

// fold moves the slots of the other writers of the transaction's node into
// the node's history. Slots would otherwise grow by one with every run; so
// does history, but it is read in one piece and only its last chunk is
// written. It is no loss where such a writer is still alive, in a clone: what
// it counts on is more than history has, and the greater one counts.
func (c Counter) fold(tx Tx) error {
	slots, err := c.collect(tx, slotSub)
	if err != nil {
		return err
	}
	var folded []item
	var amounts []amount
	for _, it := range slots {
		as, err := it.amounts()
		if err != nil {
			return err
		}
		w := as[0].Writer
		if node, ok := tx.NodeOf(w); !ok || node != tx.Node() || w == tx.Writer() {
			continue
		}
		folded = append(folded, it)
		amounts = append(amounts, as...)
	}
	if len(folded) == 0 {
		return nil
	}
	if err := c.putHistory(tx, greatest(amounts)); err != nil {
		return err
	}
	for _, it := range folded {
		if err := tx.Remove(c.key + Key(it.sub)); err != nil {
			return err
		}
	}
	return nil
}

// putHistory adds amounts to the history of the transaction's node: to its
// last chunk while there is room, then to further ones. What the floor takes
// away whole is left out. The floor stays, so nobody misses it.
func (c Counter) putHistory(tx Tx, amounts []amount) error {
	floor, err := c.readAmountsAt(tx, floorSub)
	if err != nil {
		return err
	}
	amounts = above(amounts, floor)
	last, old, err := c.lastChunk(tx)
	if err != nil {
		return err
	}
	if all := greatest(above(old, floor), amounts); len(all) <= CounterChunkAmounts || last == math.MaxUint16 {
		return c.putChunk(tx, last, all, len(old) > 0)
	}
	for len(amounts) > 0 {
		n := min(len(amounts), CounterChunkAmounts)
		if last++; last == math.MaxUint16 {
			n = len(amounts) // no number is left: the last chunk takes them all
		}
		if err := c.putChunk(tx, last, amounts[:n], false); err != nil {
			return err
		}
		amounts = amounts[n:]
	}
	return nil
}

// putChunk writes a chunk; one that became empty is removed.
func (c Counter) putChunk(tx Tx, chunk uint16, amounts []amount, there bool) error {
	sub := chunkKey(tx.Node(), chunk)
	switch {
	case len(amounts) > 0:
		return c.put(tx, sub, appendAmounts(nil, amounts))
	case there:
		return tx.Remove(c.key + Key(sub))
	}
	return nil
}

// lastChunk returns the last chunk of the transaction's node, and its number: 0
// if there is none.
func (c Counter) lastChunk(tx Tx) (number uint16, amounts []amount, err error) {
	prefix := c.key + Key(historyKey(tx.Node()))
	e, ok, err := tx.Last(Span{prefix, successor(prefix)})
	if err != nil || !ok {
		return 0, nil, err
	}
	chunk := []byte(e.Key[len(prefix):])
	if len(chunk) != chunkBytes {
		return 0, nil, fmt.Errorf("%w: counter with a chunk of number %x", ErrValue, chunk)
	}
	amounts, err = item{string(e.Key[len(c.key):]), e.Record.Visible()}.amounts()
	return binary.BigEndian.Uint16(chunk), amounts, err
}

// readAmountsAt returns the amounts in the floor or chunk at sub.
func (c Counter) readAmountsAt(v View, sub string) ([]amount, error) {
	rec, err := c.get(v, sub)
	if err != nil {
		return nil, err
	}
	return item{sub, rec}.amounts()
}
