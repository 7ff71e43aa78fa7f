package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// Incoming is a delta that is being received. It is held in memory up to
// Options.StageBytes and on disk beyond, and nothing of it is visible until
// Finish makes all of it visible at once. Not safe for concurrent use; there
// may be several at a time, and each ends with Finish or Abort.
type Incoming struct {
	ns      *Namespace
	entries []crdt.Entry
	size    int    // memory that entries take
	stage   *stage // what went to disk before entries, or nil
	ended   error

	overtake func() // tests commit here, between preparation and publication
}

// errEnded says that an Incoming was used after its end.
var errEnded = errors.New("the delta was finished or aborted before")

// Begin begins to receive a delta.
func (ns *Namespace) Begin() *Incoming { return &Incoming{ns: ns} }

// Add takes records of the delta: in any order, a record in one entry or in
// several behind each other with some of its events each. It keeps the entries
// and what they refer to. Errors wrap crdt.ErrDelta if an entry is none that a replica
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
	if in.size <= in.ns.store.options.StageBytes {
		return nil
	}
	return in.fail(in.spill(true))
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
	if in.stage != nil {
		err = errors.Join(err, in.stage.remove())
	}
	return in.ns.named("receive a delta of", err)
}

// Finish applies the delta, whose vector is to and whose sender's floor is
// floor, both with or without what their entries imply: after it the namespace
// covers to, and its floor is the join of both. Its records, its log entries and
// the vector become visible together when Finish returns, and durable soon
// after.
//
// Errors wrap crdt.ErrUnknownWriter if the record of a writer in to or floor,
// or of an ancestor, was not learned, ErrBelowFloor if the sender collected
// what was not seen here, crdt.ErrDelta if an event is not covered by to, or
// are those of Commit. Nothing was applied then.
func (in *Incoming) Finish(to, floor crdt.Vector) (Applied, error) {
	if in.ended != nil {
		return Applied{}, in.ended
	}
	ns := in.ns
	if err := ns.store.engine.admit(); err != nil {
		return Applied{}, in.fail(err)
	}
	done, err := in.finish(to, floor)
	if err != nil {
		return Applied{}, in.fail(err)
	}
	in.ended, in.entries = errEnded, nil
	if in.stage != nil {
		in.stage.remove() // if it fails, so will what comes next, and Open does it
	}
	if done.Changed {
		ns.merged()
	}
	return done, nil
}

// merged ends the publication of a delta: it tells, and has it fsynced.
func (ns *Namespace) merged() {
	defer ns.store.users.Done() // publish began it
	if ns.store.options.Visible != nil {
		ns.store.options.Visible(ns)
	}
	ns.store.syncer.add(ns, true)
}

// finish applies the delta.
func (in *Incoming) finish(to, floor crdt.Vector) (done Applied, err error) {
	in.ns.applying.Lock()
	defer in.ns.applying.Unlock()
	a, err := in.ns.newApply(to, floor)
	if err != nil || a == nil {
		return Applied{}, err
	}
	defer a.close()
	m, err := in.merge(a)
	if err != nil {
		return Applied{}, err
	}
	defer func() {
		if e := m.discard(); err != nil { // else the delta is in, whatever is left over
			err = errors.Join(err, e)
		}
	}()
	if err := m.prepare(); err != nil {
		return Applied{}, err
	}
	if in.overtake != nil {
		in.overtake()
	}
	err = m.publish()
	return a.done, err
}

// merge is one way to apply a delta: by a batch or by tables. What prepare
// builds on a snapshot, with own commits going on, publish makes valid for
// the present position, and visible. discard frees what they took.
type merge interface {
	prepare() error
	publish() error
	discard() error
}

func (in *Incoming) merge(a *apply) (merge, error) {
	if in.stage != nil {
		if err := in.spill(false); err != nil {
			return nil, err
		}
		return newTableMerge(a, in.stage)
	}
	if err := in.unite(); err != nil {
		return nil, err
	}
	if err := sortUnique(in.entries); err != nil {
		return nil, err
	}
	return newBatchMerge(a, in.entries), nil
}

// spill moves entries to disk; all but the last, if more events of its record
// may follow.
func (in *Incoming) spill(more bool) error {
	if in.stage == nil {
		in.stage = in.ns.newStage()
	}
	if err := in.unite(); err != nil {
		return err
	}
	out := in.entries
	if more {
		out = out[:len(out)-1]
	}
	if len(out) == 0 {
		return nil
	}
	at := in.ns.position()
	if err := in.stage.spill(out, at.past()); err != nil {
		return err
	}
	in.entries = slices.Delete(in.entries, 0, len(out))
	in.size = 0
	for i := range in.entries {
		in.size += entrySize(&in.entries[i])
	}
	return nil
}

// unite makes one entry of several with one key that follow each other.
func (in *Incoming) unite() error {
	out := in.entries[:0]
	for _, e := range in.entries {
		n := len(out)
		if n == 0 || out[n-1].Key != e.Key {
			out = append(out, e)
			continue
		}
		out[n-1].Record = union(out[n-1].Record, e.Record)
		if err := checkSiblings(e.Key, out[n-1].Record); err != nil {
			return err
		}
	}
	in.entries = out
	return nil
}

// sortUnique sorts entries by key, and refuses a key that comes twice.
func sortUnique(entries []crdt.Entry) error {
	order := func(a, b crdt.Entry) int { return cmp.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(entries, order) {
		slices.SortFunc(entries, order)
	}
	for i := 1; i < len(entries); i++ {
		if entries[i].Key == entries[i-1].Key {
			return fmt.Errorf("%w: record %q came twice, with others between", crdt.ErrDelta, string(entries[i].Key))
		}
	}
	return nil
}

// union returns the events of both.
func union(a, b crdt.Record) crdt.Record { return crdt.Join(a, crdt.Vector{}, b, crdt.Vector{}) }

// checkEntry refuses what no replica makes. What the events hold was checked
// when they were decoded.
func checkEntry(e *crdt.Entry) error {
	if err := e.Key.Validate(); err != nil {
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

// checkSiblings refuses a record that could not be read again. None gets so long
// where every writer keeps the rules: a writer has one event in it.
func checkSiblings(k crdt.Key, rec crdt.Record) error {
	if len(rec) <= crdt.MaxSiblings {
		return nil
	}
	return fmt.Errorf("%w: key %q would have %d concurrent events, at most %d are allowed",
		crdt.ErrDelta, string(k), len(rec), crdt.MaxSiblings)
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
