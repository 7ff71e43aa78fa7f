package store

import (
	"bytes"
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Changes yields the records that a peer at from lacks something of: each
// once, with all its present events, in no particular order. An empty from, or
// nil, yields every record. It stops after the first
// error. Entries are the caller's.
//
// The records are found by the log: the keys of all transactions above from,
// read in batches that are sorted. A key comes up once per transaction that
// touched it, and nothing is remembered from batch to batch: the record is
// yielded for the first, in the order of the log, of those of its events that
// from does not cover. Every batch sees the same record, so exactly one
// yields it; log entries whose events are gone yield nothing. Where from lacks
// so much that it is cheaper to read all records, in key order, they are.
//
// Removals that were collected are not found. Unless from is empty or covers
// the snapshot's floor, the error wraps ErrBelowFloor.
func (s *Snapshot) Changes(from *crdt.Past) iter.Seq2[crdt.Entry, error] {
	if from == nil || from.Empty() {
		return s.Scan(crdt.AllKeys)
	}
	return func(yield func(crdt.Entry, error) bool) {
		c := changes{s: s, from: from, yield: yield}
		if !c.from.CoversAll(s.view.at.floor) {
			yield(crdt.Entry{}, s.ns.named("read the changes of", ErrBelowFloor))
			return
		}
		c.reader.writers = s.ns.lineage.writer
		read := c.scan
		if all, err := s.cheaperWhole(from); err != nil {
			yield(crdt.Entry{}, s.ns.named("read the changes of", err))
			return
		} else if all {
			read = c.scanWhole
		}
		stop, err := read()
		if c.it != nil {
			c.it.Close()
		}
		if err != nil && !stop {
			yield(crdt.Entry{}, s.ns.named("read the changes of", err))
		}
	}
}

// LacksMost reports whether what the log tells to a peer at from is that many
// keys at least, and no fewer than what it told it before. It reads what the
// peer lacks in the log, which is little beside sending it, and as much again
// at the most.
func (s *Snapshot) LacksMost(from *crdt.Past, least int) (bool, error) {
	all := s.Past()
	lacks, err := s.logged(s.ns.ahead(from, all), math.MaxInt)
	if err == nil && lacks >= least {
		var has int
		has, err = s.logged(s.ns.ahead(s.ns.Past(nil), meet(from, all)), lacks+1)
		if err == nil {
			return lacks >= has, nil
		}
	}
	if err != nil {
		err = s.ns.named("read the log of", err)
	}
	return false, err
}

// logged returns how many keys the log has in the stretches, or enough.
func (s *Snapshot) logged(stretches []stretch, enough int) (n int, err error) {
	err = s.ns.scanLog(s.view.snap, stretches, func(uint32, uint64, []byte) bool {
		n++
		return n < enough
	})
	return n, err
}

// cheaperWhole reports whether it is cheaper to read all records than, one by
// one, those that the transactions above from touched. How many these are is
// told by the vectors: it is seldom less than a key each, and then to read all
// costs no more than the transactions are worth.
func (s *Snapshot) cheaperWhole(from *crdt.Past) (bool, error) {
	var lacks uint64
	for _, v := range s.Past().Beyond(from) {
		lacks += v.Last - v.After
	}
	if lacks < changesKeys {
		return false, nil
	}
	return s.near(lacks)
}

// near reports whether so many records lie so close to each other in what the
// namespace takes on disk that it is cheaper to read on from one to the next than
// to look each up.
func (s *Snapshot) near(records uint64) (bool, error) {
	bytes, err := s.ns.store.engine.DB.EstimateDiskUsage(s.ns.records[:], s.ns.records.end())
	return bytes/seekBytes <= records, readError(err)
}

// scanWhole is scan by all records.
func (c *changes) scanWhole() (stop bool, err error) {
	if c.it, err = c.s.iterator(crdt.AllKeys); err != nil {
		return false, err
	}
	var last crdt.WriterID // most records in a row are of one writer
	var seq uint64
	lacks := func(rec crdt.Record) bool {
		for i := range rec {
			if w := rec[i].Writer; w != last || seq == 0 {
				last, seq = w, c.from.Seq(w)
			}
			if rec[i].Seq > seq {
				return true
			}
		}
		return false
	}
	for ok := c.it.First(); ok; ok = c.it.Next() {
		before := c.reader
		e, err := c.reader.entry(c.it)
		if err != nil {
			return false, err
		}
		if !lacks(e.Record) {
			c.reader = before // its memory is free again
			continue
		}
		if !c.yield(e, nil) {
			return true, nil
		}
	}
	return false, readError(c.it.Error())
}

// changes is one scan.
type changes struct {
	s      *Snapshot
	from   *crdt.Past
	yield  func(crdt.Entry, error) bool
	batch  []logged
	keys   []byte // of batch, with their prefix
	it     *pebble.Iterator
	reader recordReader
}

// logged is a key that a transaction touched.
type logged struct {
	writer  uint32
	seq     uint64
	at, end int // of the key, in changes.keys
}

// scan reports whether the caller has had enough.
func (c *changes) scan() (stop bool, err error) {
	var failed error
	ns := c.s.ns
	err = ns.scanLog(c.s.view.snap, ns.ahead(c.from, c.s.Past()), func(w uint32, seq uint64, key []byte) bool {
		at := len(c.keys)
		c.keys = append(append(c.keys, ns.records[:]...), key...)
		c.batch = append(c.batch, logged{w, seq, at, len(c.keys)})
		if len(c.batch) == changesKeys || len(c.keys) >= changesKeyBytes {
			stop, failed = c.flush()
		}
		return !stop && failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil && !stop {
		stop, err = c.flush()
	}
	return stop, err
}

// ahead returns the stretches of the log that lead from one past to another,
// in the order of the log.
func (ns *Namespace) ahead(from, to *crdt.Past) []stretch {
	var ss []stretch
	for _, v := range to.Beyond(from) {
		if n, ok := ns.lineage.number(v.Writer); ok {
			ss = append(ss, stretch{n, v.After, v.Last})
		}
	}
	slices.SortFunc(ss, func(a, b stretch) int { return cmp.Compare(a.writer, b.writer) })
	return ss
}

// flush reads the records of the batch in key order.
func (c *changes) flush() (stop bool, err error) {
	key := func(l logged) []byte { return c.keys[l.at:l.end] }
	slices.SortFunc(c.batch, func(a, b logged) int { return bytes.Compare(key(a), key(b)) })
	for i, end := 0, 0; i < len(c.batch) && !stop && err == nil; i = end {
		k := key(c.batch[i])
		for end = i + 1; end < len(c.batch) && bytes.Equal(key(c.batch[end]), k); {
			end++
		}
		stop, err = c.record(k, c.batch[i:end])
	}
	c.batch, c.keys = c.batch[:0], c.keys[:0]
	return stop, err
}

// record yields the record at key if that is due in one of the transactions.
func (c *changes) record(key []byte, due []logged) (stop bool, err error) {
	if c.few() {
		return c.getOne(key, due)
	}
	if c.it == nil {
		ns := c.s.ns
		o := &pebble.IterOptions{LowerBound: ns.records[:], UpperBound: ns.records.end()}
		if c.it, err = c.s.view.snap.NewIter(o); err != nil {
			return false, readError(err)
		}
	}
	if !seekNear(c.it, key) {
		return false, readError(c.it.Error())
	}
	e, err := c.reader.entry(c.it)
	if err != nil {
		return false, err
	}
	return c.tell(e, due), nil
}

// few reports whether the batch is so small that no iterator is opened for it.
func (c *changes) few() bool { return c.it == nil && len(c.batch) <= fewChanges }

// getOne is record by a read of its own.
func (c *changes) getOne(key []byte, due []logged) (stop bool, err error) {
	k := crdt.Key(key[prefixLen:])
	rec, err := c.s.Get(k)
	if err != nil || rec == nil {
		return false, err
	}
	return c.tell(crdt.Entry{Key: k, Record: rec}, due), nil
}

// tell yields the record if that is due in one of the transactions, and reports
// whether the caller has had enough.
func (c *changes) tell(e crdt.Entry, due []logged) (stop bool) {
	writer, seq := c.first(e.Record)
	for _, l := range due {
		if l.writer == writer && l.seq == seq {
			return !c.yield(e, nil)
		}
	}
	return false
}

// first returns the first event of rec, in the order of the log, that from
// does not cover; its seq is 0 if there is none.
func (c *changes) first(rec crdt.Record) (writer uint32, seq uint64) {
	for i := range rec {
		e := &rec[i]
		if c.from.Covers(e.Dot) {
			continue
		}
		if w, _ := c.s.ns.lineage.number(e.Writer); seq == 0 || w < writer || w == writer && e.Seq < seq {
			writer, seq = w, e.Seq
		}
	}
	return writer, seq
}
