package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// builder holds the buffers that batches are built with.
type builder struct {
	key, value []byte
	entry      logEntry
}

// putter is where batches and tables take a key and its value.
type putter = func(key, value []byte) error

// buildOwn puts own transactions into b, and returns the dot of the first. The
// first of a run is preceded by its writer's record. The caller holds commits.
func (ns *Namespace) buildOwn(b *pebble.Batch, ws []*Write) (first crdt.Dot, err error) {
	wall := ns.store.now()
	first, err = ns.nextDot(b, wall)
	if err != nil {
		return crdt.Dot{}, err
	}
	e := crdt.Event{Dot: first}
	for _, w := range ws {
		e.Time = ns.clock.Now(wall)
		w.time = e.Time
		if err := ns.buildOne(b, e, w.Ops); err != nil {
			return crdt.Dot{}, err
		}
		e.Seq++
	}
	return first, nil
}

// buildOne puts one transaction into b, whose events have e's dot and time: its
// records, blind, and its log entry.
func (ns *Namespace) buildOne(b *pebble.Batch, e crdt.Event, ops []Op) error {
	put := func(key, value []byte) error { return b.Set(key, value, nil) }
	bl := &ns.builder
	bl.entry.start(ns.log, ns.own, e.Seq)
	for i := range ops {
		op := &ops[i]
		e.Value, e.Removed, e.Expires = op.Value, op.Removed, op.Expires
		bl.key = ns.records.record(bl.key[:0], op.Key)
		bl.value = appendWritten(bl.value[:0], &e, ns.own)
		if err := put(bl.key, bl.value); err != nil {
			return err
		}
		if err := bl.entry.add(op.Key, put); err != nil {
			return err
		}
		if err := ns.putExpiry(bl, op.Key, op.Expires, put); err != nil {
			return err
		}
	}
	return bl.entry.finish(put)
}

// nextDot returns the dot of the own transaction that b will hold. Before the
// first of a run it puts its writer's record. The caller holds commits.
func (ns *Namespace) nextDot(b *pebble.Batch, wall int64) (crdt.Dot, error) {
	dot := ns.history.visible.own
	if dot.Seq == 0 {
		if err := ns.beginWriter(b, wall); err != nil {
			return crdt.Dot{}, err
		}
		dot.Writer = ns.writer
	}
	dot.Seq++
	return dot, nil
}

// check refuses what could not be read again, here or at a peer.
func (op *Op) check() error {
	if err := op.Key.Validate(); err != nil {
		return err
	}
	if len(op.Value) > crdt.MaxValueBytes {
		return fmt.Errorf("%w: %d bytes at %q, at most %d are allowed",
			crdt.ErrValue, len(op.Value), string(op.Key), crdt.MaxValueBytes)
	}
	if op.Expires == 0 {
		return nil
	}
	if op.Removed {
		return fmt.Errorf("%w: a removal at %q that expires", crdt.ErrExpiry, string(op.Key))
	}
	return crdt.CheckExpires(op.Key, op.Expires)
}

// beginWriter puts this run's writer record into b, which holds its first
// transaction. The caller holds commits.
func (ns *Namespace) beginWriter(b *pebble.Batch, wall int64) error {
	s := ns.store
	if s.options.Sign == nil {
		return errors.New("the store was opened without a node to sign as")
	}
	rec := &crdt.WriterRecord{
		Writer: ns.Writer(), Node: s.options.Node, Namespace: ns.name,
		Parents: ns.history.visible.foreign.Branches(s.options.Node), Started: ns.clock.Now(wall),
	}
	signature, err := s.options.Sign(rec.SigningBytes())
	if err != nil {
		return fmt.Errorf("sign the writer record: %w", err)
	}
	copy(rec.Signature[:], signature)
	if err := rec.Verify(); err != nil {
		return fmt.Errorf("the options Node and Sign do not match: %w", err)
	}
	if ns.own, err = ns.lineage.begin(rec); err != nil {
		return err
	}
	put := func(key, value []byte) error { return b.Set(key, value, nil) }
	if err := ns.lineage.save([]*crdt.WriterRecord{rec}, ns.writers, put); err != nil {
		return err
	}
	if err := ns.putAncestors(b, rec); err != nil {
		return err
	}
	return put(ns.ownKey(), appendNumber(nil, uint64(ns.own)))
}

// putAncestors brings the entries of the vector to its normal form, once this
// run's writer has one: it implies its parents. The writer before it, which
// was only known from its log's tail, is one of them, as a rule.
func (ns *Namespace) putAncestors(b *pebble.Batch, rec *crdt.WriterRecord) error {
	foreign := ns.history.visible.foreign
	after := foreign.Clone()
	after.Advance(rec.Writer, 1)
	for _, p := range rec.Parents {
		if !after.Implied(p.Writer) {
			continue
		}
		if err := b.Delete(ns.vectors.indexed(nil, uint32(ns.mustNumber(p.Writer))), nil); err != nil {
			return err
		}
	}
	if after.Implied(ns.tail) {
		return nil
	}
	put := func(key, value []byte) error { return b.Set(key, value, nil) }
	return ns.putEntry(put, crdt.Dot{Writer: ns.tail, Seq: foreign.Seq(ns.tail)})
}

// putEntry puts an entry of the vector.
func (ns *Namespace) putEntry(put putter, d crdt.Dot) error { return ns.putEntryOf(ns.vectors, put, d) }

// putEntryOf puts an entry of the vector that a part has.
func (ns *Namespace) putEntryOf(p prefix, put putter, d crdt.Dot) error {
	n, ok := ns.lineage.number(d.Writer)
	if !ok {
		panic(fmt.Sprintf("store: writer %s enters a vector without a record", d.Writer))
	}
	return put(p.indexed(nil, n), appendNumber(nil, d.Seq))
}
