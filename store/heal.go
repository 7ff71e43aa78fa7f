package store

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Heal adds to records what a peer holds beyond them, where both should hold
// the same: the peer's snapshot has that vector, and neither has touched the
// record in a way that the other does not cover. Events that the peer holds
// come to stand beside those that are here; of two contents of one dot the
// greater stays, as in every join. Removals and values that expire come only
// where they supersede something here, since nodes drop them at different times.
// So two nodes that heal each
// other hold the same in the end, and nothing is taken away but what certainly
// was superseded: a store that lost its newest table shows older versions of
// its records, so an event goes whose writer, or a later run of its node, wrote
// one that only the other side holds.
//
// A peer that does not cover the floor is not heard: what it holds may have been
// removed, and nothing here tells of that any more.
//
// It returns how many records have changed. Nothing else does: no vector
// moves, and watchers are not told. Entries are few, since commits and applies
// wait. Errors are those of Commit, or wrap crdt.ErrDelta for an entry that no
// replica makes.
func (ns *Namespace) Heal(entries []crdt.Entry, peer crdt.Vector) (changed int, err error) {
	if err := ns.store.engine.admit(); err != nil {
		return 0, ns.named("heal", err)
	}
	if changed, err = ns.heal(entries, peer); err != nil {
		return 0, ns.named("heal", err)
	}
	return changed, nil
}

func (ns *Namespace) heal(entries []crdt.Entry, peer crdt.Vector) (changed int, err error) {
	if err := ns.store.use(); err != nil {
		return 0, err
	}
	defer ns.store.users.Done()
	for i := range entries {
		if err := checkEntry(&entries[i]); err != nil {
			return 0, err
		}
	}
	ns.applying.Lock()
	defer ns.applying.Unlock()
	ns.commits.Lock()
	defer ns.commits.Unlock()
	at := ns.history.visible
	h := healing{ns: ns, peer: ns.Past(peer), own: at.past(), batch: ns.store.engine.DB.NewBatch(), log: map[crdt.Dot][]crdt.Key{}}
	defer h.batch.Close()
	if !h.peer.CoversAll(at.floor) {
		return 0, nil
	}
	for i := range entries {
		if err := h.record(&entries[i]); err != nil {
			return 0, err
		}
	}
	if len(h.changed) == 0 {
		return 0, nil
	}
	if err := h.putLog(); err != nil {
		return 0, err
	}
	if err := ns.publish(false, h.batch, writes{keys: h.changed}, func(hi *history) { hi.commitForeign(at.foreign, at.own, at.floor) }); err != nil {
		return 0, err
	}
	defer ns.store.users.Done()
	ns.store.syncer.add(ns, false)
	return len(h.changed), nil
}

// healing is one call.
type healing struct {
	ns        *Namespace
	peer, own *crdt.Past
	batch     *pebble.Batch
	changed   []crdt.Key
	log       map[crdt.Dot][]crdt.Key // what the log is to lead to
}

func (h *healing) put(key, value []byte) error { return h.batch.Set(key, value, nil) }

func (h *healing) record(theirs *crdt.Entry) error {
	ns := h.ns
	rec, err := ns.get(ns.store.engine.DB, theirs.Key)
	if err != nil {
		return err
	}
	if news(rec, h.peer) || news(theirs.Record, h.own) {
		return nil // a delta will bring it, or has brought it
	}
	taken := slices.DeleteFunc(slices.Clone(theirs.Record), func(e crdt.Event) bool { return fades(&e) && !h.supersedes(&e, rec) })
	both := union(h.without(rec, taken, theirs.Record), h.without(taken, rec, rec))
	if len(both) > crdt.MaxSiblings {
		return nil
	}
	bl := &ns.applyBuilder
	before := appendRecord(nil, rec, ns.mustNumber)
	if bl.value = appendRecord(bl.value[:0], both, ns.mustNumber); bytes.Equal(before, bl.value) {
		return nil
	}
	bl.key = ns.records.record(bl.key[:0], theirs.Key)
	if err := h.put(bl.key, bl.value); err != nil {
		return err
	}
	h.changed = append(h.changed, theirs.Key)
	for i := range both {
		d := both[i].Dot
		if holds(rec, d) {
			continue
		}
		h.log[d] = append(h.log[d], theirs.Key)
		if err := ns.putExpiry(bl, theirs.Key, both[i].Expires, h.put); err != nil {
			return err
		}
	}
	return nil
}

// fades reports whether nodes drop an event at different times.
func fades(e *crdt.Event) bool { return e.Removed || e.Expires != 0 }

// supersedes reports whether o is not in a record, and was written over an event
// of it that does not fade.
func (h *healing) supersedes(o *crdt.Event, rec crdt.Record) bool {
	return !holds(rec, o.Dot) && slices.ContainsFunc(rec, func(e crdt.Event) bool { return !fades(&e) && h.saw(o, &e) })
}

// without returns the events of a record but for those that another, which is
// what is taken of a whole one, superseded. What both hold superseded nothing:
// Reissue has a writer stand beside itself.
func (h *healing) without(rec, other, whole crdt.Record) crdt.Record {
	return slices.DeleteFunc(slices.Clone(rec), func(e crdt.Event) bool {
		return !holds(whole, e.Dot) && slices.ContainsFunc(other, func(o crdt.Event) bool {
			return !holds(rec, o.Dot) && h.saw(&o, &e)
		})
	})
}

// saw reports whether the writer of o, or a run of its node before it, wrote e
// before o.
func (h *healing) saw(o, e *crdt.Event) bool {
	if o.Writer == e.Writer {
		return e.Seq < o.Seq
	}
	return h.ns.Past(crdt.Vector{o.Writer: 1}).Covers(e.Dot)
}

// news reports whether a record has an event that a vector does not cover.
func news(rec crdt.Record, v *crdt.Past) bool {
	return slices.ContainsFunc(rec, func(e crdt.Event) bool { return !v.Covers(e.Dot) })
}

// putLog has the log lead to the events that were added, from which it may
// have been collected: their transactions' entries are written anew.
func (h *healing) putLog() error {
	dots := make([]crdt.Dot, 0, len(h.log))
	for d := range h.log {
		dots = append(dots, d)
	}
	slices.SortFunc(dots, crdt.Dot.Compare)
	ns := h.ns
	for _, d := range dots {
		n, known := ns.lineage.number(d.Writer)
		if !known {
			return errors.New("a writer that is covered has no number")
		}
		keys, missing := h.log[d], len(h.log[d])
		err := scanLog(ns.store.engine.DB, ns.log, []stretch{{n, d.Seq - 1, d.Seq}}, func(_ uint32, _ uint64, key []byte) bool {
			keys = append(keys, crdt.Key(key))
			return true
		})
		if err != nil {
			return err
		}
		if len(keys) > missing { // its parts may be others than the first ones
			lower, upper := ns.log.parts(n, d.Seq)
			if err := h.batch.DeleteRange(lower, upper, nil); err != nil {
				return err
			}
		}
		slices.Sort(keys)
		entry := &ns.applyBuilder.entry
		entry.start(ns.log, n, d.Seq)
		for _, k := range slices.Compact(keys) {
			if err := entry.add(k, h.put); err != nil {
				return err
			}
		}
		if err := entry.finish(h.put); err != nil {
			return err
		}
	}
	return nil
}
