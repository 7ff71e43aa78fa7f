package protocol

import "github.com/anabranch-db/anabranch/crdt"

// How a Comparer goes through an answer. asked is a list in key order, and so
// are the records: at follows them. A range is dealt with when its verdict is
// final and a record of a later range, or the end of the answer, came.

// answer takes a frame's body.
func (c *Comparer) answer(last bool, body []byte, yield func(crdt.Entry) bool) error {
	if len(c.asked) == 0 {
		return badAnswer("nothing was asked")
	}
	r := crdt.NewReader(body)
	if err := c.readVerdicts(r, last); err != nil {
		return err
	}
	for e := range c.block.entries(r) {
		if err := c.record(e, yield); err != nil {
			return err
		}
	}
	if err := r.Done(); err != nil {
		return badAnswer("%w", err)
	}
	if !last {
		if c.block.parts == 0 {
			return badAnswer("an empty frame that is not the last")
		}
		return c.passBelow(c.block.held.Key, yield)
	}
	if e, ok := c.block.rest(); ok {
		if err := c.record(e, yield); err != nil {
			return err
		}
	}
	for c.at < len(c.asked) {
		if err := c.pass(yield); err != nil {
			return err
		}
	}
	c.end()
	return nil
}

// end puts what differs back to be asked about, and forgets the compare.
func (c *Comparer) end() {
	for i := len(c.again) - 1; i >= 0; i-- {
		c.pending = append(c.pending, c.again[i])
	}
	c.asked, c.verdicts, c.again = nil, nil, nil
}

// readVerdicts reads the verdicts of a frame.
func (c *Comparer) readVerdicts(r *crdt.Reader, last bool) error {
	ended := r.Uint()
	bits := bitReader{bytes: r.Bytes(maxVerdictBytes)}
	left := uint64(len(c.asked) - c.known)
	switch {
	case r.Err() != nil:
		return badAnswer("%w", r.Err())
	case ended > left, last != (ended == left):
		return badAnswer("%d ranges end in a frame where %d are left", ended, left)
	}
	for range ended {
		if err := c.readVerdict(&bits); err != nil {
			return err
		}
		c.known++
	}
	if !last {
		if !c.asked[c.known].listed() {
			return badAnswer("a frame ends within a range that has no list")
		}
		if err := c.readVerdict(&bits); err != nil {
			return err
		}
	}
	if !bits.done() {
		return badAnswer("more verdicts than ranges")
	}
	return nil
}

// readVerdict reads the verdict on asked[known]. What is known of it already
// stays: bits that were set, and those of the records that were dealt with.
func (c *Comparer) readVerdict(bits *bitReader) error {
	set, ok := bits.take(c.asked[c.known].verdictBits())
	if !ok {
		return badAnswer("fewer verdicts than ranges")
	}
	before := c.verdicts[c.known]
	settled := uint32(0)
	if c.at == c.known {
		settled = 1<<c.next - 1
	}
	if before&^set != 0 || (set^before)&settled != 0 {
		return badAnswer("a verdict is taken back")
	}
	c.verdicts[c.known] = set
	return nil
}

// record takes a record of the source.
func (c *Comparer) record(e crdt.Entry, yield func(crdt.Entry) bool) error {
	if err := c.passBelow(e.Key, yield); err != nil {
		return err
	}
	if c.at == len(c.asked) {
		return badAnswer("a record beyond what was asked")
	}
	if p := &c.asked[c.at]; !p.listed() || !p.Contains(e.Key) || e.Key < c.seen {
		return badAnswer("a record of key %q, which was not asked for, or out of order", string(e.Key))
	}
	if err := c.passOwn(e.Key, yield); err != nil {
		return err
	}
	if c.next < len(c.own) && c.own[c.next].key == e.Key {
		if c.same(c.next) {
			return badAnswer("a record of key %q, which is the same", string(e.Key))
		}
		c.next++
	}
	return c.yield(e, yield)
}

// passBelow deals with the ranges that ended and lie below k, or with all that
// ended if k is empty.
func (c *Comparer) passBelow(k crdt.Key, yield func(crdt.Entry) bool) error {
	for c.at < c.known {
		if to := c.asked[c.at].To; k != "" && (to == "" || to > k) {
			return nil
		}
		if err := c.pass(yield); err != nil {
			return err
		}
	}
	return nil
}

// pass deals with what is left of asked[at], whose verdict is final.
func (c *Comparer) pass(yield func(crdt.Entry) bool) error {
	p := c.asked[c.at]
	switch {
	case p.listed():
		if err := c.passOwn("", yield); err != nil {
			return err
		}
	case c.verdicts[c.at] == 0:
		p.differs = true
		c.again = append(c.again, p)
	}
	c.at++
	c.seen = p.To
	c.own, c.loaded, c.next = nil, false, 0
	return nil
}

// passOwn deals with the records here of asked[at] below k, or with all if k
// is empty: those that were not met are gone at the source.
func (c *Comparer) passOwn(k crdt.Key, yield func(crdt.Entry) bool) (err error) {
	if !c.loaded {
		if c.own, err = c.records(&c.asked[c.at]); err != nil {
			return err
		}
		c.loaded = true
	}
	for ; c.next < len(c.own) && (k == "" || c.own[c.next].key < k); c.next++ {
		if c.same(c.next) {
			continue
		}
		if err := c.yield(crdt.Entry{Key: c.own[c.next].key}, yield); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether the source has the record own[i] as well.
func (c *Comparer) same(i int) bool { return c.verdicts[c.at]>>i&1 == 1 }

// yield yields e, after which everything up to its key is dealt with.
func (c *Comparer) yield(e crdt.Entry, yield func(crdt.Entry) bool) error {
	if !yield(e) {
		return errStopped
	}
	c.seen = e.Key + "\x00"
	return nil
}
