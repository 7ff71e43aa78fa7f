package store

import "github.com/anabranch-db/anabranch/crdt"

// takenRecord is a record that an own commit took out, and what it writes there.
type takenRecord struct {
	old *cachedRecord
	op  *Op
	tx  int // which of the commit's transactions
}

// smallRecord is a cached record with its value, if that is small, in one piece
// of memory.
type smallRecord struct {
	cachedRecord
	value [smallValue]byte
}

// wroteOwn takes out what own transactions write. What of it is read between
// writes, renewed puts in again: who adds to a hot counter finds it in memory.
func (c *cachedRecords) wroteOwn(commit uint64, txs []*Write) {
	clear(c.taken) // of a commit that failed
	c.taken = c.taken[:0]
	for tx, w := range txs {
		for i := range w.Ops {
			op := &w.Ops[i]
			hash := c.hash(op.Key)
			old := c.take(commit, hash, op.Key)
			switch {
			case old == nil:
				if tx > 0 { // a transaction writes a key once
					c.supersede(hash, op, tx)
				}
			case len(c.taken) < cacheRenewals && (old.read.Load() || old.idle < cacheIdle):
				c.taken = append(c.taken, takenRecord{old, op, tx})
			}
		}
	}
}

// supersede takes note that a later transaction of the commit writes a record
// that an earlier one does.
func (c *cachedRecords) supersede(hash uint64, op *Op, tx int) {
	for i := range c.taken {
		if t := &c.taken[i]; t.old.hash == hash && t.old.key == op.Key {
			t.op, t.tx = op, tx
		}
	}
}

// renewed puts in what an own commit took out, as it is now that the commit is
// visible: each write superseded all that was there. The commit has the dot of
// its first transaction; those of the others follow. The caller holds commits,
// so no later commit has said yet what it writes.
func (c *cachedRecords) renewed(commit uint64, first crdt.Dot, txs []*Write) {
	for _, t := range c.taken {
		size := cachedBytes + len(t.old.key) + eventBytes + len(t.op.Value)
		if int64(size) > c.cache.limit/cacheShare {
			continue
		}
		var r *cachedRecord
		var value []byte
		if len(t.op.Value) <= smallValue { // as those of counters and flags are
			both := new(smallRecord)
			r, value = &both.cachedRecord, both.value[:0]
		} else {
			r, value = new(cachedRecord), make([]byte, 0, len(t.op.Value))
		}
		r.hash, r.number, r.size, r.since, r.key = t.old.hash, c.number, int32(size), commit, t.old.key
		if !t.old.read.Load() {
			r.idle = t.old.idle + 1
		}
		e := &r.one[0]
		*e = crdt.Event{Dot: first, Time: txs[t.tx].time, Removed: t.op.Removed, Expires: t.op.Expires}
		e.Seq += uint64(t.tx)
		if !e.Removed {
			e.Value = append(value, t.op.Value...)
		}
		r.rec = r.one[:]
		c.keep(r)
	}
	clear(c.taken)
	c.taken = c.taken[:0]
}
