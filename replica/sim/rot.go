package sim

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// rot has a disk lose some records of a namespace, while its vector stays: what
// no checksum finds. The node reads as if they had never been, and passes that
// on. Digests are to show it, and peers to mend it.
func (w *world) rot(a, _ *Node, d *Draw) {
	if len(a.spaces) == 0 {
		return
	}
	sp := a.spaces[d.IntN(len(a.spaces))]
	if len(sp.durable.entries) == 0 {
		return
	}
	l := w.ledger.of(sp.name)
	for range 1 + d.IntN(2) {
		k := sp.durable.entries[d.IntN(len(sp.durable.entries))].Key
		l.rotten[k] = true
		sp.lose(k)
		if len(sp.durable.entries) == 0 {
			break
		}
	}
	w.lastChange = w.schedule.now
}

// lose takes a record out of all that is on disk, or on its way there.
func (sp *space) lose(k crdt.Key) {
	lost := map[*state]*state{}
	less := func(s *state) *state {
		if lost[s] == nil {
			lost[s] = s.put(crdt.Entry{Key: k})
		}
		return lost[s]
	}
	sp.visible, sp.durable = less(sp.visible), less(sp.durable)
	for i := range sp.log {
		sp.log[i] = less(sp.log[i])
	}
	if sp.writing != nil {
		sp.writing = less(sp.writing)
	}
}

// heal adds what a peer holds beyond this node, where both cover it. It returns
// how many records have changed: what store.Namespace.Heal does.
func (sp *space) heal(entries []crdt.Entry, vector crdt.Vector) (changed int) {
	own, theirs := sp.visible.past, sp.lineage.Past(vector)
	if !theirs.CoversAll(sp.visible.floor) {
		return 0
	}
	next := *sp.visible
	for _, e := range entries {
		rec := next.get(e.Key)
		if beyond(rec, theirs) || beyond(e.Record, own) {
			continue // a delta brings it
		}
		taken := slices.DeleteFunc(slices.Clone(e.Record), func(ev crdt.Event) bool { return fades(&ev) && !sp.supersedes(&ev, rec) })
		both := crdt.Join(sp.unsuperseded(rec, taken, e.Record), crdt.Vector{}, sp.unsuperseded(taken, rec, rec), crdt.Vector{})
		if len(both) == len(rec) && !slices.ContainsFunc(both, func(ev crdt.Event) bool { return !holds(rec, ev.Dot) }) {
			continue
		}
		next = *next.put(crdt.Entry{Key: e.Key, Record: both})
		changed++
	}
	if changed > 0 {
		sp.change(&next)
	}
	return changed
}

// unsuperseded returns the events of a record but for those that one was written
// over which another has, or what is taken of it, and this has not.
func (sp *space) unsuperseded(rec, other, whole crdt.Record) crdt.Record {
	return slices.DeleteFunc(slices.Clone(rec), func(e crdt.Event) bool {
		return !holds(whole, e.Dot) && slices.ContainsFunc(other, func(o crdt.Event) bool {
			return !holds(rec, o.Dot) && sp.saw(&o, &e)
		})
	})
}

// supersedes reports whether o is not in a record, and was written over an event
// of it that does not fade.
func (sp *space) supersedes(o *crdt.Event, rec crdt.Record) bool {
	return !holds(rec, o.Dot) && slices.ContainsFunc(rec, func(e crdt.Event) bool { return !fades(&e) && sp.saw(o, &e) })
}

func fades(e *crdt.Event) bool { return e.Removed || e.Expires != 0 }

// saw reports whether the run that wrote o, or one of its node before, wrote e
// before.
func (sp *space) saw(o, e *crdt.Event) bool {
	if o.Writer == e.Writer {
		return e.Seq < o.Seq
	}
	return sp.lineage.Past(crdt.Vector{o.Writer: 1}).Covers(e.Dot)
}

func holds(rec crdt.Record, d crdt.Dot) bool {
	return slices.ContainsFunc(rec, func(e crdt.Event) bool { return e.Dot == d })
}

func beyond(rec crdt.Record, past *crdt.Past) bool {
	return slices.ContainsFunc(rec, func(e crdt.Event) bool { return !past.Covers(e.Dot) })
}

// maxHealMillis is within what rot is mended once all cover the same: digests
// are compared minutes after a change, with one peer after the other, and what
// was healed is compared again later and later.
const maxHealMillis = 24 * 3_600_000

// mendRot runs until digests have shown what rotted, and all hold the same.
func (w *world) mendRot() {
	if !w.rotten() {
		return
	}
	held := w.held()
	for w.differs() != "" {
		if w.schedule.now > w.healed+maxHealMillis {
			w.failf("rot", "after %d h nodes do not hold the same: %s", maxHealMillis/3_600_000, w.differs())
		}
		w.runUntil(w.schedule.now + 60_000)
	}
	for _, h := range held {
		// A removal is no part of a digest: some have it, and some may lack it.
		kept := func(sp *space) bool {
			rec := sp.visible.get(h.key)
			return holds(rec, h.Dot) || w.ledger.of(h.name).over(h, rec)
		}
		if !slices.ContainsFunc(w.writers(h.name), kept) {
			w.failf("rot", "%s: key %q: %s:%d was held by a node, and by none once they had healed", h.name, string(h.key), h.Writer, h.Seq)
		}
	}
	for _, name := range w.names {
		l := w.ledger.of(name)
		if !w.rots(name) {
			continue
		}
		w.count.Rotten++
		for _, sp := range w.writers(name)[:min(1, len(w.writers(name)))] {
			if c := l.compare(sp, false).all(); c.none() {
				w.count.Healed++
			}
		}
	}
}

// rotten reports whether anything rotted.
func (w *world) rotten() bool {
	return slices.ContainsFunc(w.names, w.rots)
}

// rots reports whether some node has lost something of a namespace in silence.
func (w *world) rots(name string) bool { return len(w.ledger.of(name).rotten) > 0 }

// atKey is an event that a node holds.
type atKey struct {
	name string
	key  crdt.Key
	crdt.Event
}

// held returns what those who may write hold at keys that rotted, and does not
// fade.
func (w *world) held() (all []atKey) {
	for _, name := range w.names {
		for _, sp := range w.writers(name) {
			for _, e := range sp.visible.entries {
				for _, ev := range e.Record {
					if w.ledger.of(name).rotten[e.Key] && !ev.Removed && ev.Expires == 0 {
						all = append(all, atKey{name, e.Key, ev})
					}
				}
			}
		}
	}
	return all
}

// checkStore ends the check of a store that a difference of digests asks for. It
// finds nothing: what rotted did so in silence.
func (n *Node) checkStore(e protocol.Compared) {
	n.post(func() { n.step(protocol.Checked{Link: e.Link, Namespace: e.Namespace.Name()}) })
}
