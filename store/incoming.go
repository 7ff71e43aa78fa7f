package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Incoming is a delta that is being received. It is held in memory up to
// Options.StageBytes and on disk beyond, and nothing of it is visible until
// Finish makes all of it visible at once. Not safe for concurrent use; there
// may be several at a time, and each ends with Finish or Abort.
type Incoming struct {
	ns      *Namespace
	entries []crdt.Entry
	size    int // bytes of entries, as they would be on disk
	ended   error
}

// errEnded says that an Incoming was used after its end.
var errEnded = errors.New("the delta was finished or aborted before")

// Begin begins to receive a delta.
func (ns *Namespace) Begin() *Incoming { return &Incoming{ns: ns} }

// Add takes records of the delta: in any order, a record in one entry or in
// several with some of its events each. It keeps the entries and what they
// refer to. Errors wrap crdt.ErrDelta if an entry is none that a replica
// makes, or are those of the disk; then the delta is aborted.
func (in *Incoming) Add(entries ...crdt.Entry) error {
	if in.ended != nil {
		return in.ended
	}
	for i := range entries {
		if err := checkEntry(&entries[i]); err != nil {
			return in.fail(err)
		}
		in.size += entrySize(&entries[i])
	}
	in.entries = append(in.entries, entries...)
	return nil
}

// Abort gives the delta up. After Finish or Abort it does nothing.
func (in *Incoming) Abort() {
	if in.ended == nil {
		in.fail(errEnded)
	}
}

// fail ends the delta if there is an error.
func (in *Incoming) fail(err error) error {
	if err == nil {
		return nil
	}
	in.ended, in.entries = errEnded, nil
	return in.ns.named("receive a delta of", err)
}

// Finish applies the delta, whose vector is to, expanded or in normal form:
// after it the namespace covers to. Its records, its log entries and the
// vector become visible together when Finish returns, and durable soon after.
//
// Errors wrap crdt.ErrUnknownWriter if the record of a writer in to, or of an
// ancestor, was not learned, crdt.ErrDelta if an event is not covered by to,
// or are those of Commit. Nothing was applied then.
func (in *Incoming) Finish(to crdt.Vector) (Applied, error) {
	if in.ended != nil {
		return Applied{}, in.ended
	}
	ns := in.ns
	ns.applying.Lock()
	done, err := in.finish(to)
	ns.applying.Unlock()
	if err != nil {
		return Applied{}, in.fail(err)
	}
	in.ended, in.entries = errEnded, nil
	if !done.Changed {
		return done, nil
	}
	defer ns.store.users.Done() // publish began it
	if ns.store.options.Visible != nil {
		ns.store.options.Visible(ns)
	}
	ns.store.syncer.add(ns, true)
	return done, nil
}

// finish applies the delta. The caller holds applying.
func (in *Incoming) finish(to crdt.Vector) (Applied, error) {
	if err := in.ns.store.engine.admit(); err != nil {
		return Applied{}, err
	}
	a, err := in.ns.newApply(to)
	if err != nil || a == nil {
		return Applied{}, err
	}
	defer a.close()
	in.entries = unite(in.entries)
	err = a.commit(in.entries)
	return a.done, err
}

// commit applies a delta that is in memory, as one batch. It is built on a
// snapshot, with local commits going on; the records that they wrote since
// are joined again under the commit lock.
func (a *apply) commit(entries []crdt.Entry) error {
	if err := a.findTouched(len(entries)); err != nil {
		return err
	}
	ns := a.ns
	b := ns.store.engine.DB.NewBatch()
	err := a.build(b, entries)
	if err == nil {
		err = a.publish(b, entries)
	}
	return errors.Join(err, b.Close())
}

func (a *apply) build(b *pebble.Batch, entries []crdt.Entry) error {
	fresh := make([]freshEvent, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		err := a.admit(e, func(writer uint32, seq uint64) {
			fresh = append(fresh, freshEvent{writer, seq, i})
		})
		if err != nil {
			return err
		}
		rec, err := a.merged(e)
		if err == nil {
			err = a.put(b, e.Key, rec)
		}
		if err != nil {
			return err
		}
	}
	set := func(key, value []byte) error { return b.Set(key, value, nil) }
	if err := a.putLog(set, entries, fresh); err != nil {
		return err
	}
	return a.putMeta(set)
}

// freshEvent is an event that is new here: it gets its place in the log.
type freshEvent struct {
	writer uint32
	seq    uint64
	entry  int
}

func (f freshEvent) compare(o freshEvent) int {
	if c := cmp.Compare(f.writer, o.writer); c != 0 {
		return c
	}
	if c := cmp.Compare(f.seq, o.seq); c != 0 {
		return c
	}
	return cmp.Compare(f.entry, o.entry)
}

// putLog puts the log entries of the transactions that are new here.
func (a *apply) putLog(set putter, entries []crdt.Entry, fresh []freshEvent) error {
	if !slices.IsSortedFunc(fresh, freshEvent.compare) {
		slices.SortFunc(fresh, freshEvent.compare)
	}
	entry := &a.ns.applyBuilder.entry
	for i, f := range fresh {
		if i == 0 || f.writer != fresh[i-1].writer || f.seq != fresh[i-1].seq {
			entry.start(a.ns.log, f.writer, f.seq)
		}
		if err := entry.add(entries[f.entry].Key, set); err != nil {
			return err
		}
		if i+1 == len(fresh) || f.writer != fresh[i+1].writer || f.seq != fresh[i+1].seq {
			if err := entry.finish(set); err != nil {
				return err
			}
		}
	}
	return nil
}

// publish makes the batch valid for the present position, and visible.
func (a *apply) publish(b *pebble.Batch, entries []crdt.Entry) error {
	ns := a.ns
	ns.commits.Lock()
	defer ns.commits.Unlock()
	if err := a.rejoin(b, entries); err != nil {
		return err
	}
	if err := ns.publish(false, b, a.move()); err != nil {
		return err
	}
	a.settled()
	if commit := ns.history.visible.commit; len(entries) > recentKeys {
		ns.recent.forget(commit)
	} else {
		for i := range entries {
			ns.recent.add(commit, entries[i].Key)
		}
	}
	return nil
}

// rejoin joins again what was written since the apply's snapshot, with what
// is there now: the batch's later put counts. The caller holds commits.
func (a *apply) rejoin(b *pebble.Batch, entries []crdt.Entry) error {
	keys, all := a.ns.recent.since(a.snap.Number())
	if len(keys) == 0 && all {
		return nil
	}
	own := a.ns.history.visible.vector()
	again := func(e *crdt.Entry) error {
		rec, err := a.ns.get(a.ns.store.engine.DB, e.Key)
		if err != nil {
			return err
		}
		a.done.Read++
		return a.put(b, e.Key, crdt.Join(rec, own, e.Record, a.to))
	}
	if !all {
		for i := range entries {
			if err := again(&entries[i]); err != nil {
				return err
			}
		}
		return nil
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		i, found := slices.BinarySearchFunc(entries, k, func(e crdt.Entry, k crdt.Key) int { return cmp.Compare(e.Key, k) })
		if !found {
			continue
		}
		if err := again(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// unite sorts entries by key and makes one of several with one key.
func unite(entries []crdt.Entry) []crdt.Entry {
	order := func(a, b crdt.Entry) int { return cmp.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(entries, order) {
		slices.SortStableFunc(entries, order)
	}
	out := entries[:0]
	for _, e := range entries {
		if n := len(out); n > 0 && out[n-1].Key == e.Key {
			out[n-1].Record = union(out[n-1].Record, e.Record)
			continue
		}
		out = append(out, e)
	}
	return out
}

// union returns the events of both.
func union(a, b crdt.Record) crdt.Record { return crdt.Join(a, crdt.Vector{}, b, crdt.Vector{}) }

// checkEntry refuses what no replica makes. What the events hold was checked
// when they were decoded.
func checkEntry(e *crdt.Entry) error {
	if _, _, _, err := e.Key.Split(); err != nil {
		return fmt.Errorf("%w: %w", crdt.ErrDelta, err)
	}
	if len(e.Record) == 0 {
		return fmt.Errorf("%w: key %q without events", crdt.ErrDelta, string(e.Key))
	}
	for i := range e.Record {
		if i > 0 && e.Record[i].Dot.Compare(e.Record[i-1].Dot) <= 0 {
			return fmt.Errorf("%w: key %q: events out of order", crdt.ErrDelta, string(e.Key))
		}
	}
	return nil
}

// eventOverhead is what an event takes beside its value, and a record beside
// its key, in memory: the structs, and a log entry.
const eventOverhead = 128

// entrySize estimates the memory of an entry.
func entrySize(e *crdt.Entry) int {
	n := len(e.Key)
	for i := range e.Record {
		n += len(e.Record[i].Value) + len(e.Record[i].Ext) + eventOverhead
	}
	return n
}
