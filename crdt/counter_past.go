package crdt

import (
	"cmp"
	"slices"
)

// past is what a View remembers of a counter with a long history: its value,
// and for each slot what it takes to follow it as it grows. Of an incarnation
// in a slot, history and floor have something as well where devices were
// cloned. When they change, which is once in a run at the most, or a slot is
// new, the past is made again.
type past struct {
	chunks   bool   // there is history
	up, down sum128 // of slots and history, above the floor
	slots    []slotPast
}

// slotPast is an incarnation in a slot.
type slotPast struct {
	amount
	below amount // the greater of what history and floor have of it
}

// counterMemoAmounts is how many amounts a floor and history that are
// remembered have at least: fewer are read in a few microseconds.
const counterMemoAmounts = 16

// span is of all records of the counter.
func (c Counter) span() Span { return Span{c.key, successor(c.key)} }

// sum returns the value.
func (c Counter) sum(v View) (sum128, error) {
	memo, remembers := v.(Memo)
	if remembers {
		fold, changed := memo.Recall(c.span())
		if p, ok := fold.(past); ok {
			now, ok, err := c.follow(v, p, changed)
			if err != nil {
				return sum128{}, err
			}
			if ok {
				if len(changed) > 0 {
					memo.Remember(c.span(), now, now.bytes())
				}
				return now.up.minus(now.down), nil
			}
		}
	}
	t, err := c.tally(v)
	if err != nil {
		return sum128{}, err
	}
	if remembers && len(t.history)+len(t.floor) >= counterMemoAmounts && !slices.ContainsFunc(t.items, item.expires) {
		p := newPast(t)
		memo.Remember(c.span(), p, p.bytes())
	}
	if !t.shows {
		return sum128{}, c.missing(v)
	}
	return t.sum(), nil
}

// expires reports whether an amount does, which only another release writes:
// what follows from it does not follow from the records alone.
func (it item) expires() bool {
	return slices.ContainsFunc(it.rec, func(e Event) bool { return e.Expires != 0 })
}

func newPast(t tally) past {
	p := past{slots: make([]slotPast, len(t.slots))}
	p.chunks = slices.ContainsFunc(t.items, func(it item) bool { return it.sub[:1] == historySub })
	for _, a := range t.history {
		p.add(a.less(find(t.floor, a.Dot)))
	}
	for i, a := range t.slots {
		p.slots[i] = slotPast{a, find(t.history, a.Dot).join(find(t.floor, a.Dot))}
		p.add(a.less(p.slots[i].below))
	}
	return p
}

func (p *past) add(a amount) { p.up, p.down = p.up.plus(a.up), p.down.plus(a.down) }

// follow returns p with the records that changed as they are now. It is not ok
// if it must be made again, or there is no counter.
func (c Counter) follow(v View, p past, changed []Key) (now past, ok bool, err error) {
	if len(changed) > 0 {
		p.slots = slices.Clone(p.slots)
	}
	for _, k := range changed {
		sub := string(k[len(c.key):])
		if len(sub) != slotSubBytes || sub[:1] != slotSub {
			return past{}, false, nil
		}
		rec, err := c.get(v, sub)
		if err != nil {
			return past{}, false, err
		}
		it := item{sub, rec}
		as, err := it.amounts()
		if err != nil {
			return past{}, false, c.fail(err)
		}
		if it.expires() || !p.replace(WriterID([]byte(sub[1:])), as) {
			return past{}, false, nil
		}
	}
	return p, p.chunks || len(p.slots) > 0, nil
}

// replace puts the amounts of a writer's slot in the place of those there. It
// is not ok if one of them was not there.
func (p *past) replace(w WriterID, as []amount) bool {
	from, _ := slices.BinarySearchFunc(p.slots, w, func(s slotPast, w WriterID) int { return s.Writer.Compare(w) })
	to := from
	for to < len(p.slots) && p.slots[to].Writer == w {
		to++
	}
	was := slices.Clone(p.slots[from:to])
	fresh := make([]slotPast, len(as))
	for i, a := range as {
		at, ok := slices.BinarySearchFunc(was, a.Seq, func(s slotPast, seq uint64) int { return cmp.Compare(s.Seq, seq) })
		if !ok {
			return false
		}
		fresh[i] = slotPast{a, was[at].below}
		p.add(a.less(fresh[i].below))
	}
	for _, s := range was {
		a := s.less(s.below)
		p.up, p.down = p.up.minus(sum128{lo: a.up}), p.down.minus(sum128{lo: a.down})
	}
	p.slots = slices.Replace(p.slots, from, to, fresh...)
	return true
}

// bytes returns what p takes in memory, about.
func (p *past) bytes() int { return 96 + 80*len(p.slots) }
