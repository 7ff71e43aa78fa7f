package crdt

import (
	"encoding/binary"
	"fmt"
	"math"
)

// amount is how much one incarnation counted up and down. Both only grow.
type amount struct {
	// Dot names the incarnation: the writer, and the seq of the slot's
	// first event. Within the transaction that begins it, the seq is the
	// one that the transaction shows its own writes with, which may be 0.
	Dot
	up, down uint64
}

// plus returns a with delta added.
func (a amount) plus(delta int64) (amount, error) {
	part, d, sign := &a.up, uint64(delta), ""
	if delta < 0 {
		part, d, sign = &a.down, -d, "-" // right for math.MinInt64, too
	}
	if d > math.MaxUint64-*part {
		return a, fmt.Errorf("%w: adding %d to the %s%d that this run added", ErrOverflow, delta, sign, *part)
	}
	*part += d
	return a, nil
}

// The values of a counter's records:
//
//	slot           = array(3) seq up down
//	floor, history = array(4 n) *(writer seq up down), ordered by (writer, seq)
//
// A seq of 0 stands for that of the event that holds it: who writes the first
// event of an incarnation need not know its seq yet. Only an entry of the
// event's own writer may have it.
const slotFields, amountFields = 3, 4

// What is behind the path and the type in a key: 's' writer, 'h' node chunk.
const (
	slotSubBytes  = len(slotSub) + len(WriterID{})
	chunkBytes    = 2
	chunkSubBytes = len(historySub) + len(NodeID{}) + chunkBytes
)

func slotKey(w WriterID) string { return slotSub + string(w[:]) }

func historyKey(n NodeID) string { return historySub + string(n[:]) }

func chunkKey(n NodeID, chunk uint16) string {
	return string(binary.BigEndian.AppendUint16([]byte(historyKey(n)), chunk))
}

func appendSlot(dst []byte, a amount) []byte {
	dst = AppendArray(dst, slotFields)
	dst = AppendUint(dst, a.Seq)
	dst = AppendUint(dst, a.up)
	return AppendUint(dst, a.down)
}

// readSlot reads an event of the slot of w.
func readSlot(e *Event, w WriterID) (amount, error) {
	r := NewReader(e.Value)
	if n := r.Array(slotFields); r.Err() == nil && n != slotFields {
		r.Fail(fmt.Sprintf("slot of %d fields, want %d", n, slotFields))
	}
	a := amount{Dot: Dot{w, r.Uint()}, up: r.Uint(), down: r.Uint()}
	if a.Seq == 0 {
		a.Seq = e.Seq
	}
	if err := r.Done(); err != nil {
		return amount{}, fmt.Errorf("%w: counter slot: %w", ErrValue, err)
	}
	return a, nil
}

// appendAmounts appends a floor or a chunk. The amounts are ordered.
func appendAmounts(dst []byte, as []amount) []byte {
	dst = AppendArray(dst, amountFields*len(as))
	for _, a := range as {
		dst = AppendBytes(dst, a.Writer[:])
		dst = AppendUint(dst, a.Seq)
		dst = AppendUint(dst, a.up)
		dst = AppendUint(dst, a.down)
	}
	return dst
}

// readAmounts reads an event of a floor or a chunk.
func readAmounts(e *Event) ([]amount, error) {
	r := NewReader(e.Value)
	n := r.Array(MaxValueBytes)
	if n%amountFields != 0 {
		r.Fail("amounts that end in the middle of one")
	}
	as := make([]amount, 0, n/amountFields)
	var last Dot
	for i := 0; i < n/amountFields && r.Err() == nil; i++ {
		a := amount{Dot: Dot{r.Writer(), r.Uint()}, up: r.Uint(), down: r.Uint()}
		if i > 0 && a.Dot.Compare(last) <= 0 {
			r.Fail("amounts out of order")
		}
		last = a.Dot
		if a.Seq == 0 {
			if a.Writer != e.Writer {
				r.Fail("amount of another writer's event without its seq")
			}
			a.Seq = e.Seq
		}
		as = append(as, a)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: counter amounts: %w", ErrValue, err)
	}
	return greatest(as), nil // a seq that was 0 may belong elsewhere
}

// Explicit returns the value of an event at k, as it says the same under
// another dot: what a value leaves to its event's dot is written out. Whoever
// writes an event again, as another transaction, writes that. The event's
// writer is zero if nobody knows it any more: then the value tells it, where
// that matters.
func Explicit(k Key, e *Event) []byte {
	_, t, sub, err := k.Split()
	if err != nil || t != TypeCounter || e.Removed {
		return e.Value
	}
	if len(sub) == slotSubBytes && sub[:1] == slotSub {
		if a, err := readSlot(e, WriterID([]byte(sub[1:]))); err == nil {
			return appendSlot(nil, a)
		}
		return e.Value
	}
	whole := *e
	if whole.Writer == (WriterID{}) {
		whole.Writer = amountsWriter(e.Value)
	}
	if as, err := readAmounts(&whole); err == nil {
		return appendAmounts(nil, as)
	}
	return e.Value
}

// amountsWriter returns the writer of an event of a floor or a chunk, if its
// value leaves a seq to it; else zero.
func amountsWriter(value []byte) WriterID {
	r := NewReader(value)
	for n := r.Array(MaxValueBytes) / amountFields; n > 0 && r.Err() == nil; n-- {
		if w, seq := r.Writer(), r.Uint(); seq == 0 && r.Err() == nil {
			return w
		}
		r.Uint()
		r.Uint()
	}
	return WriterID{}
}
