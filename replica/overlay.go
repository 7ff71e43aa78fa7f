package replica

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// overlay holds a transaction's writes, one per key, the last one of each.
// The zero value is empty.
type overlay struct {
	ops   []store.Op       // in the order of the keys' first writes
	at    map[crdt.Key]int // index into ops; nil up to smallTx ops
	order []int            // the first len(order) ops' indices by key, for scans
	bytes int              // of keys and values
	spare []byte           // values are copied to its end while there is room
}

// copy returns a copy of value, which is never written over: what a transaction
// has read of itself stays as it was.
func (o *overlay) copy(value []byte) []byte {
	switch {
	case len(value) <= cap(o.spare)-len(o.spare):
	case len(value) > maxSpareBytes/4: // it would waste what is left
		return slices.Clone(value)
	default:
		o.spare = make([]byte, 0, min(max(2*cap(o.spare), minSpareBytes, 2*len(value)), maxSpareBytes))
	}
	n := len(o.spare)
	o.spare = append(o.spare, value...)
	return o.spare[n:len(o.spare):len(o.spare)]
}

// lend returns room for a value, where copy would put it.
func (o *overlay) lend() []byte { return o.spare[len(o.spare):] }

// reset makes it empty. It keeps memory for as much as most transactions write.
func (o *overlay) reset() {
	clear(o.ops)
	o.ops, o.at, o.order, o.bytes, o.spare = o.ops[:0], nil, o.order[:0], 0, o.spare[:0]
	if cap(o.ops) > maxSpareOps {
		o.ops = nil
	}
	if cap(o.order) > maxSpareOps {
		o.order = nil
	}
}

// put adds op with a copy of its value. Errors wrap ErrTooLarge.
func (o *overlay) put(op store.Op) error {
	i, there := o.find(op.Key)
	grown := o.bytes + len(op.Value)
	if there {
		grown -= len(o.ops[i].Value)
	} else {
		grown += len(op.Key)
	}
	if !there && len(o.ops) == MaxTxOps {
		return fmt.Errorf("%w: %s would be record %d, at most %d are allowed",
			ErrTooLarge, describe(op.Key), len(o.ops)+1, MaxTxOps)
	}
	if grown > MaxTxBytes {
		return fmt.Errorf("%w: with %s of %d bytes it would be %d bytes, at most %d are allowed",
			ErrTooLarge, describe(op.Key), len(op.Key)+len(op.Value), grown, MaxTxBytes)
	}
	o.bytes = grown
	if there { // however often: what it said before is garbage
		op.Value = slices.Clone(op.Value)
		o.ops[i] = op
		return nil
	}
	op.Value = o.copy(op.Value)
	o.ops = append(o.ops, op)
	if o.at != nil {
		o.at[op.Key] = len(o.ops) - 1
	} else if len(o.ops) > smallTx {
		o.at = make(map[crdt.Key]int, 4*smallTx)
		for i := range o.ops {
			o.at[o.ops[i].Key] = i
		}
	}
	return nil
}

func (o *overlay) find(k crdt.Key) (i int, ok bool) {
	if o.at != nil {
		i, ok = o.at[k]
		return i, ok
	}
	for i := range o.ops {
		if o.ops[i].Key == k {
			return i, true
		}
	}
	return -1, false
}

// get returns the op on k.
func (o *overlay) get(k crdt.Key) (op store.Op, ok bool) {
	if i, ok := o.find(k); ok {
		return o.ops[i], true
	}
	return op, false
}

// sort brings order up to date. Ops that came since the last time are few in
// a transaction that writes and scans in turn, and are put in one by one.
func (o *overlay) sort() {
	fresh := len(o.ops) - len(o.order)
	if fresh <= len(o.order)/16 {
		for i := len(o.order); i < len(o.ops); i++ {
			o.order = slices.Insert(o.order, o.above(o.ops[i].Key), i)
		}
		return
	}
	for i := len(o.order); i < len(o.ops); i++ {
		o.order = append(o.order, i)
	}
	slices.SortFunc(o.order, func(a, b int) int { return cmp.Compare(o.ops[a].Key, o.ops[b].Key) })
}

// above returns how many ops in order are on keys below k.
func (o *overlay) above(k crdt.Key) int {
	n, _ := slices.BinarySearchFunc(o.order, k, func(i int, k crdt.Key) int { return cmp.Compare(o.ops[i].Key, k) })
	return n
}

// bounds returns which part of order is of keys in s.
func (o *overlay) bounds(s crdt.Span) (from, to int) {
	o.sort()
	from, to = o.above(s.From), len(o.order)
	if s.To != "" {
		to = o.above(s.To)
	}
	return from, max(from, to)
}

// in returns the ops on keys in s, by key, as they are now.
func (o *overlay) in(s crdt.Span) []store.Op {
	from, to := o.bounds(s)
	ops := make([]store.Op, 0, to-from)
	for _, i := range o.order[from:to] {
		ops = append(ops, o.ops[i])
	}
	return ops
}

// last returns the op on the greatest key in s.
func (o *overlay) last(s crdt.Span) (op store.Op, ok bool) {
	if from, to := o.bounds(s); from < to {
		return o.ops[o.order[to-1]], true
	}
	return op, false
}

// merge yields the entries of base, and those of ops in their places: an op
// hides the entry of its key.
func merge(base iter.Seq2[crdt.Entry, error], ops []store.Op, record func(store.Op) crdt.Record) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		rest := ops
		own := func() bool {
			op := rest[0]
			rest = rest[1:]
			return yield(crdt.Entry{Key: op.Key, Record: record(op)}, nil)
		}
		for e, err := range base {
			if err != nil {
				yield(e, err)
				return
			}
			for len(rest) > 0 && rest[0].Key < e.Key {
				if !own() {
					return
				}
			}
			if len(rest) > 0 && rest[0].Key == e.Key {
				if !own() {
					return
				}
				continue
			}
			if !yield(e, nil) {
				return
			}
		}
		for len(rest) > 0 {
			if !own() {
				return
			}
		}
	}
}
