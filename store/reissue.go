package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Reissued says what became of the events that waited.
type Reissued struct {
	// Events were written again, and Covered were not: the namespace has them,
	// or has seen what superseded them.
	Events, Covered int
}

// reissueKeys is how many records one step of Reissue looks at. Commits wait
// for a step: some milliseconds.
const reissueKeys = 512

// Reissue writes again, as this run's writer, the events of the repaired store
// that wait and that the namespace does not cover: nobody here or among the
// peers that it was filled from has seen them. It is to be called once it was
// filled. It goes on where it was cut off, and does nothing where nothing
// waits. Errors are those of Commit, or that of ctx.
//
// An event keeps its time and value, and gets a new dot; so where others have
// it all the same, under its own, both are one value to every type. It stays
// beside what is there at its key, but for what it had superseded. That is
//
//   - what its writer, or an earlier run of its node, wrote there before, and
//   - what the repaired store covered and did not hold there, and is older by
//     its time, as what was superseded is while clocks are right.
//
// The second goes wrong, and takes a value that nobody had superseded, only
// where that was written concurrently and earlier, had come to the damaged
// store after the event, and is part of what could not be read; or leaves one
// that was superseded, where a clock was wrong by more than Options.MaxSkew.
//
// By time alone an event is judged whose writer's record could not be read
// (Repaired.Unnamed): it is taken as covered where its key holds one of its
// time, or a later one. That is right while clocks are. Where they were not,
// what a peer has overwritten or removed with a clock that was behind comes
// back beside it. No other rule would do better: all that is left of such an
// event says the same of one that nobody has seen, which must not be lost.
func (ns *Namespace) Reissue(ctx context.Context) (done Reissued, err error) {
	p, err := ns.loadPending()
	if err != nil {
		return done, ns.named("reissue in", err)
	}
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		if more, err = p.step(&done); err != nil {
			return done, ns.named("reissue in", err)
		}
	}
	lower, upper := pendingRange(ns.number)
	return done, ns.store.commit(ns.store.engine.free, func(b *pebble.Batch) error {
		return b.DeleteRange(lower, upper, nil)
	})
}

// salvaged is what waits.
type salvaged struct {
	ns      *Namespace
	records prefix
	past    *crdt.Past // what the repaired store covered, or an older state of it
	reader  recordReader
	table   map[uint64]crdt.WriterID // by the repaired store's numbers
	numbers map[crdt.WriterID]uint64 // the same, the other way round
	lineage crdt.Lineage
	seen    map[crdt.WriterID]*crdt.Past // what each writer's first event had seen of its node's
	others  []crdt.WriterID              // those of other nodes
}

func (ns *Namespace) loadPending() (*salvaged, error) {
	p := &salvaged{
		ns: ns, seen: map[crdt.WriterID]*crdt.Past{}, numbers: map[crdt.WriterID]uint64{},
		records: makePrefix(spacePending, ns.number, pendingRecord),
	}
	table := map[uint64]crdt.WriterID{}
	p.table = table
	err := ns.scanPending(pendingWriter, func(n uint32, value []byte) error {
		rec, err := readWriterRecord(value)
		if err == nil {
			table[uint64(n)], p.numbers[rec.Writer] = rec.Writer, uint64(n)
			_ = p.lineage.Add(rec) // one whose parents are lost stands for itself
			if rec.Node != ns.store.options.Node {
				p.others = append(p.others, rec.Writer)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	p.past = p.lineage.Past(nil)
	for _, w := range table { // its record came with something of it
		p.past.Advance(w, 1)
	}
	p.reader.writers = func(n uint64) (crdt.WriterID, bool) {
		if w, known := table[n]; known {
			return w, true
		}
		return namedWriter(n)
	}
	return p, ns.scanPending(pendingVector, func(n uint32, value []byte) error {
		seq, err := readNumber(value, 1<<64-1)
		if w, known := table[uint64(n)]; known {
			p.past.Advance(w, seq)
		}
		return err
	})
}

// scanPending yields what a part has by the number of a writer.
func (ns *Namespace) scanPending(part byte, yield func(n uint32, value []byte) error) error {
	if err := ns.store.use(); err != nil {
		return err
	}
	defer ns.store.users.Done()
	at := makePrefix(spacePending, ns.number, part)
	it, err := ns.store.engine.DB.NewIter(&pebble.IterOptions{LowerBound: at[:], UpperBound: at.end()})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n, _ := splitIndexed(it.Key())
		if err := yield(n, it.Value()); err != nil {
			return errors.Join(ErrDamaged, err)
		}
	}
	return readError(it.Error())
}

// step takes the first records that wait, and reports whether there were any.
// Of each it writes one event again; what is left of it waits on.
func (p *salvaged) step(done *Reissued) (more bool, err error) {
	ns := p.ns
	if err := ns.store.engine.admit(); err != nil {
		return false, err
	}
	entries, err := p.first()
	if err != nil || len(entries) == 0 {
		return false, err
	}
	visible, err := p.commit(entries, done)
	if err != nil {
		return false, err
	}
	return true, ns.settle(visible, false)
}

// first reads the first records that wait.
func (p *salvaged) first() (entries []crdt.Entry, err error) {
	if err := p.ns.store.use(); err != nil {
		return nil, err
	}
	defer p.ns.store.users.Done()
	it, err := p.ns.store.engine.DB.NewIter(&pebble.IterOptions{LowerBound: p.records[:], UpperBound: p.records.end()})
	if err != nil {
		return nil, readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok && len(entries) < reissueKeys; ok = it.Next() {
		e, err := p.reader.entry(it)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, readError(it.Error())
}

// commit writes an event of each of the records again, as one transaction, and
// at once has them wait no longer.
func (p *salvaged) commit(entries []crdt.Entry, done *Reissued) (pending, error) {
	ns := p.ns
	if err := ns.store.use(); err != nil {
		return pending{}, err
	}
	defer ns.store.users.Done()
	ns.commits.Lock()
	defer ns.commits.Unlock()
	own := ns.history.visible.past()
	b := ns.store.engine.DB.NewBatch()
	t := &reissue{salvaged: p, batch: b, own: own, left: *done}
	for _, e := range entries {
		if err := t.record(e); err != nil {
			return pending{}, errors.Join(err, b.Close())
		}
	}
	if t.dot.Seq == 0 { // nothing to write
		err := ns.store.engine.apply(b, false)
		if err = errors.Join(err, b.Close()); err == nil {
			*done = t.left
		}
		return pending{}, err
	}
	err := ns.builder.entry.finish(t.put)
	if err == nil {
		err = ns.publish(true, b, writes{entries: entries}, func(h *history) { h.commitOwn(t.dot) })
	}
	if err != nil {
		ns.disown()
		return pending{}, errors.Join(err, b.Close())
	}
	*done = t.left
	return pending{ns.history.visible.commit, b}, nil
}

// reissue is one transaction that writes events again.
type reissue struct {
	*salvaged
	batch *pebble.Batch
	own   *crdt.Past
	dot   crdt.Dot // Seq 0: no event was put yet
	left  Reissued
}

func (t *reissue) put(key, value []byte) error { return t.batch.Set(key, value, nil) }

// record writes one event of a record again, and leaves the others that are
// news to wait.
func (t *reissue) record(waits crdt.Entry) error {
	ns, at := t.ns, t.records.record(nil, waits.Key)
	rec, err := ns.get(ns.store.engine.DB, waits.Key)
	if err != nil {
		return err
	}
	news, covered := t.news(waits.Record, rec)
	t.left.Covered += covered
	if len(news) == 0 {
		return t.batch.Delete(at, nil)
	}
	rec = slices.DeleteFunc(rec, func(e crdt.Event) bool { return t.superseded(&e, waits.Record) })
	if len(rec) < crdt.MaxSiblings {
		if err := t.begin(); err != nil {
			return err
		}
		again := news[0]
		if isLost(again.Writer) {
			again.Writer = crdt.WriterID{}
		}
		again.Value, again.Dot = crdt.Explicit(waits.Key, &again), t.dot
		if err := t.write(waits.Key, union(rec, crdt.Record{again}), again.Expires); err != nil {
			return err
		}
		t.left.Events++
	}
	if news = news[1:]; len(news) == 0 {
		return t.batch.Delete(at, nil)
	}
	return t.put(at, appendRecord(nil, news, t.number))
}

// number returns the number that a writer of an event that waits has there.
func (p *salvaged) number(w crdt.WriterID) uint64 {
	if n, lost := lostNumber(w); lost {
		return n
	}
	if n, known := p.numbers[w]; known {
		return n
	}
	panic(fmt.Sprintf("store: an event of writer %s waits, which has no number there", w))
}

// begin begins the transaction, if it did not.
func (t *reissue) begin() (err error) {
	if t.dot.Seq > 0 {
		return nil
	}
	if t.dot, err = t.ns.nextDot(t.batch, t.ns.store.now()); err == nil {
		t.ns.builder.entry.start(t.ns.log, t.ns.own, t.dot.Seq)
	}
	return err
}

// write puts a record and its key in the log; what is new of it may expire.
func (t *reissue) write(k crdt.Key, rec crdt.Record, expires int64) error {
	bl := &t.ns.builder
	bl.key = t.ns.records.record(bl.key[:0], k)
	bl.value = appendRecord(bl.value[:0], rec, t.ns.mustNumber)
	if err := t.put(bl.key, bl.value); err != nil {
		return err
	}
	return errors.Join(bl.entry.add(k, t.put), t.ns.putExpiry(bl, k, expires, t.put))
}

// news returns the events that are not covered here, less those that others of
// them superseded, and how many are. An event of a writer who is not known is
// taken as covered where its key holds one of its time, or a later one.
func (t *reissue) news(waits, here crdt.Record) (news crdt.Record, covered int) {
	for i := range waits {
		e := &waits[i]
		passed := func(o crdt.Event) bool { return o.Time >= e.Time }
		switch {
		case t.own.Covers(e.Dot), isLost(e.Writer) && slices.ContainsFunc(here, passed):
			covered++
		case !slices.ContainsFunc(waits, func(o crdt.Event) bool { return o.Dot != e.Dot && t.saw(&o, e) }):
			news = append(news, *e)
		}
	}
	return news, covered
}

// superseded reports whether an event that is here was superseded by one of a
// record that waits.
func (t *reissue) superseded(e *crdt.Event, waits crdt.Record) bool {
	if holds(waits, e.Dot) {
		return false
	}
	return slices.ContainsFunc(waits, func(o crdt.Event) bool {
		return !t.own.Covers(o.Dot) && (t.saw(&o, e) || t.past.Covers(e.Dot) && e.Time < o.Time)
	})
}

// saw reports whether the writer of o, or a run of its node before it, wrote e
// before o: then o superseded it.
func (p *salvaged) saw(o, e *crdt.Event) bool {
	if o.Writer == e.Writer {
		return e.Seq < o.Seq
	}
	seen, known := p.seen[o.Writer]
	if !known {
		seen = p.lineage.Past(crdt.Vector{o.Writer: 1})
		p.seen[o.Writer] = seen
	}
	return seen.Covers(e.Dot)
}
