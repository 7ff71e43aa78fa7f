package crdt

import (
	"errors"
	"fmt"
	"maps"
)

var (
	// ErrGap says that a delta begins beyond what its receiver covers: it
	// needs an earlier one first.
	ErrGap = errors.New("delta begins beyond what is covered here")
	// ErrUnknownWriter says that a vector names a writer whose record, or
	// an ancestor's, is not known: what it covers cannot be told.
	ErrUnknownWriter = errors.New("unknown writer")
	// ErrDelta marks a delta that nobody who keeps the rules makes.
	ErrDelta = errors.New("malformed delta")
)

// Delta carries one replica from From, or any later vector, to a vector that
// covers To. It is applied whole or not at all, any number of times, in any
// order that leaves no gap.
type Delta struct {
	// From is the vector that the receiver must cover.
	From Vector
	// To is the sender's vector, in normal form. It is the causal context
	// of Entries: what it covers and they do not hold is gone.
	To Vector
	// Writers are the records of the writers that To covers and From does
	// not, parents before children.
	Writers []*WriterRecord
	// Entries are, in key order, all records with an event that From does
	// not cover, each with all its present events.
	Entries []Entry
}

// Delta returns what a replica at since lacks. Nil stands for an empty one.
func (r *Replica) Delta(since Vector) Delta {
	past, from := r.lineage.Past(r.vector), r.lineage.Expand(since)
	d := Delta{From: from, To: past.Normal()}
	for _, w := range past.Since(r.lineage.Past(from)) {
		d.Writers = append(d.Writers, r.records[w])
	}
	r.root.scan(AllKeys, func(e Entry) bool {
		for i := range e.Record {
			if !from.Covers(e.Record[i].Dot) {
				d.Entries = append(d.Entries, e)
				break
			}
		}
		return true
	})
	return d
}

// Merge joins d into r, or does nothing and returns an error: ErrGap if r
// does not cover d.From, ErrUnknownWriter if the chain of records of a writer
// in d.To is not known, ErrWriterRecord if a record is forged or at odds with
// others, ErrDelta if d breaks its own rules. It shares memory with d.
func (r *Replica) Merge(d Delta) error {
	if behind := r.vector.Behind(r.lineage.Expand(d.From)); len(behind) > 0 {
		return fmt.Errorf("%w: writer %s from %d on, and %d further writers",
			ErrGap, behind[0].Writer, behind[0].Seq, len(behind)-1)
	}
	lineage, records, err := r.learn(d.Writers)
	if err != nil {
		return err
	}
	if unknown := lineage.Unknown(d.To); len(unknown) > 0 {
		return fmt.Errorf("%w: %s, and %d others", ErrUnknownWriter, unknown[0], len(unknown)-1)
	}
	to := lineage.Expand(d.To)
	if err := checkEntries(d.Entries, to); err != nil {
		return err
	}
	for _, e := range d.Entries {
		joined := Join(r.root.get(e.Key), r.vector, e.Record, to)
		r.root = r.root.put(Entry{e.Key, joined})
		for i := range e.Record {
			r.foreign = max(r.foreign, e.Record[i].Time)
		}
	}
	// Who knows more of our own run than we do has met its twin, and the
	// dots to come are the twin's as well.
	r.spent = r.spent || to[r.writer] > r.vector[r.writer]
	r.vector.Join(to)
	r.lineage, r.records = lineage, records
	return nil
}

// learn returns r's lineage and records with recs.
func (r *Replica) learn(recs []*WriterRecord) (*Lineage, map[WriterID]*WriterRecord, error) {
	if len(recs) == 0 {
		return r.lineage, r.records, nil
	}
	lineage, records := r.lineage.Clone(), maps.Clone(r.records)
	for _, rec := range recs {
		if r.key != nil {
			if err := rec.Verify(); err != nil {
				return nil, nil, err
			}
		}
		if err := lineage.Add(rec); err != nil {
			return nil, nil, err
		}
		if old := records[rec.Writer]; old != nil && !old.Equal(rec) {
			return nil, nil, fmt.Errorf("%w: a second record for writer %s", ErrWriterRecord, rec.Writer)
		}
		records[rec.Writer] = rec
	}
	return lineage, records, nil
}

// checkEntries refuses keys out of order or malformed, and events that to
// does not cover: once they are in, nothing would tell that they are not
// whole transactions.
func checkEntries(es []Entry, to Vector) error {
	for i, e := range es {
		if i > 0 && e.Key <= es[i-1].Key {
			return fmt.Errorf("%w: key %q out of order", ErrDelta, string(e.Key))
		}
		if err := e.Key.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrDelta, err)
		}
		if len(e.Record) == 0 {
			return fmt.Errorf("%w: key %q without events", ErrDelta, string(e.Key))
		}
		for j := range e.Record {
			ev := &e.Record[j]
			if !to.Covers(ev.Dot) {
				return fmt.Errorf("%w: key %q: event %s:%d is not covered by the delta's vector",
					ErrDelta, string(e.Key), ev.Writer, ev.Seq)
			}
			if j > 0 && ev.Dot.Compare(e.Record[j-1].Dot) <= 0 {
				return fmt.Errorf("%w: key %q: events out of order", ErrDelta, string(e.Key))
			}
		}
	}
	return nil
}
