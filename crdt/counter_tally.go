package crdt

import (
	"cmp"
	"fmt"
	"math/big"
	"math/bits"
	"slices"
)

// tally is all that a counter's records say.
type tally struct {
	items          []item
	slots, history []amount // the greatest of each incarnation
	seen           []amount // the same, of both
	floor          []amount // the greatest floor of each incarnation
	shows          bool     // there is a slot or a chunk: the counter exists
}

func (c Counter) tally(v View) (tally, error) {
	items, err := c.collect(v, "")
	if err != nil {
		return tally{}, err
	}
	t, err := readTally(items)
	return t, c.fail(err)
}

// readTally reads the records of a counter. Records of other kinds than this
// release knows are an error: a value without them would be wrong.
func readTally(items []item) (tally, error) {
	t := tally{items: items}
	for _, it := range items {
		as, err := it.amounts()
		if err != nil {
			return tally{}, err
		}
		switch it.sub[:1] {
		case floorSub:
			t.floor = as
		case slotSub:
			t.slots, t.shows = append(t.slots, as...), true
		default:
			t.history, t.shows = append(t.history, as...), true
		}
	}
	t.slots, t.history = greatest(t.slots), greatest(t.history)
	t.seen = greatest(t.slots, t.history)
	return t, nil
}

// amounts returns the greatest amount of each incarnation in all siblings of
// a counter's record.
func (it item) amounts() ([]amount, error) {
	var out []amount
	for i := range it.rec {
		e := &it.rec[i]
		switch {
		case it.sub == floorSub, len(it.sub) == chunkSubBytes && it.sub[:1] == historySub:
			as, err := readAmounts(e)
			if err != nil {
				return nil, err
			}
			out = append(out, as...)
		case len(it.sub) == slotSubBytes && it.sub[:1] == slotSub:
			a, err := readSlot(e, WriterID([]byte(it.sub[1:])))
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		default:
			return nil, fmt.Errorf("%w: counter with a record %q", ErrValue, it.sub)
		}
	}
	return greatest(out), nil
}

// greatest joins lists of amounts: for each incarnation the greatest amount,
// up and down each for itself, ordered by incarnation.
func greatest(lists ...[]amount) []amount {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b amount) int { return a.Dot.Compare(b.Dot) })
	out := all[:0]
	for _, a := range all {
		if n := len(out); n > 0 && out[n-1].Dot == a.Dot {
			out[n-1] = out[n-1].join(a)
			continue
		}
		out = append(out, a)
	}
	return out
}

// above returns the amounts, ordered, that floor does not take away whole, as
// they are.
func above(as, floor []amount) []amount {
	var out []amount
	for _, a := range as {
		if f := find(floor, a.Dot); a.up > f.up || a.down > f.down {
			out = append(out, a)
		}
	}
	return out
}

// find returns the amount of an incarnation, zero if there is none.
func find(as []amount, incarnation Dot) amount {
	i, ok := slices.BinarySearchFunc(as, incarnation, func(a amount, d Dot) int { return a.Dot.Compare(d) })
	if !ok {
		return amount{}
	}
	return as[i]
}

// sum returns the counter's value. An amount under its floor counts as zero:
// a fold dropped it, since it was taken away.
func (t tally) sum() sum128 {
	var up, down sum128
	for _, a := range t.seen {
		a = a.less(find(t.floor, a.Dot))
		up, down = up.plus(a.up), down.plus(a.down)
	}
	return up.minus(down)
}

// join returns the greater of both, up and down each for itself.
func (a amount) join(o amount) amount {
	a.up, a.down = max(a.up, o.up), max(a.down, o.down)
	return a
}

// less returns what a has above a floor.
func (a amount) less(floor amount) amount {
	a.up -= min(a.up, floor.up)
	a.down -= min(a.down, floor.down)
	return a
}

// sum128 is an integer of 128 bits and a sign: 1<<64 amounts of 1<<64 fit.
type sum128 struct {
	negative bool
	hi, lo   uint64
}

// plus adds to a sum that is not negative.
func (s sum128) plus(u uint64) sum128 {
	lo, carry := bits.Add64(s.lo, u, 0)
	return sum128{hi: s.hi + carry, lo: lo}
}

// minus subtracts two sums, neither of them negative.
func (s sum128) minus(o sum128) sum128 {
	if cmp.Or(cmp.Compare(s.hi, o.hi), cmp.Compare(s.lo, o.lo)) < 0 {
		d := o.minus(s)
		d.negative = true
		return d
	}
	lo, borrow := bits.Sub64(s.lo, o.lo, 0)
	hi, _ := bits.Sub64(s.hi, o.hi, borrow)
	return sum128{hi: hi, lo: lo}
}

// int64 returns the sum if it fits.
func (s sum128) int64() (int64, bool) {
	if s.negative {
		return int64(-s.lo), s.hi == 0 && s.lo <= 1<<63
	}
	return int64(s.lo), s.hi == 0 && s.lo < 1<<63
}

func (s sum128) big() *big.Int {
	b := new(big.Int).SetUint64(s.hi)
	b.Lsh(b, 64).Or(b, new(big.Int).SetUint64(s.lo))
	if s.negative {
		b.Neg(b)
	}
	return b
}
