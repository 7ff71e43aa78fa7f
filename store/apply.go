package store

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Applied says what an apply did.
type Applied struct {
	// Changed is false if all that the delta covers was covered before.
	Changed bool
	// Records is how many records the delta has, and Read how many of them
	// had to be read and joined, since both sides wrote them.
	Records, Read int
	// Staged says that the delta went over the disk.
	Staged bool
}

// apply is a delta on its way into a namespace.
type apply struct {
	ns      *Namespace
	to      *crdt.Past
	floor   crdt.Vector // what the sender may have collected
	began   *crdt.Past  // ours, when the apply began
	own     *crdt.Past  // ours, at snap
	swept   *crdt.Past  // our floor
	snap    *Snapshot
	reads   applyReads // of snap
	intro   []*crdt.WriterRecord
	ended   crdt.WriterID // this run's, if the sender knows more of it than we do
	writers map[crdt.WriterID]*applyWriter
	last    *applyWriter // the one looked up last
	touched touched
	done    Applied

	latest     crdt.Timestamp // of the events that are new here
	latestNode crdt.NodeID
}

// applyWriter is what an apply knows of a writer.
type applyWriter struct {
	id      crdt.WriterID
	number  uint32
	own, to uint64
	node    crdt.NodeID
}

// newApply prepares an apply of a delta whose vector is to, from a sender that
// may have collected what floor covers. It returns nil if there is nothing to
// do. The caller holds applying, and closes the apply.
func (ns *Namespace) newApply(to, floor crdt.Vector) (*apply, error) {
	a, err := ns.newMerge(to, floor)
	if a != nil && !a.own.CoversAll(floor) && !a.own.Disjoint(a.to) {
		a.close()
		return nil, fmt.Errorf("%w: the sender collected what was not seen here", ErrBelowFloor)
	}
	return a, err
}

// newMerge is newApply for a sender that tells all at which both differ.
func (ns *Namespace) newMerge(to, floor crdt.Vector) (*apply, error) {
	for _, v := range []crdt.Vector{to, floor} {
		if unknown := ns.Unknown(v); len(unknown) > 0 {
			return nil, fmt.Errorf("%w: %s, and %d others", crdt.ErrUnknownWriter, unknown[0], len(unknown)-1)
		}
	}
	a := &apply{ns: ns, to: ns.Past(to), floor: floor, writers: map[crdt.WriterID]*applyWriter{}}
	if !a.to.CoversAll(floor) {
		return nil, fmt.Errorf("%w: its floor is beyond its vector", crdt.ErrDelta)
	}
	snap, err := ns.snapshot()
	if err != nil {
		return nil, err
	}
	a.snap, a.own, a.swept = snap, snap.Past(), ns.Past(snap.Floor())
	if a.began = a.own; a.own.Includes(a.to) {
		return nil, snap.Close()
	}
	a.intro = ns.lineage.introduce(a.to, a.own)
	return a, nil
}

func (a *apply) close() {
	a.reads.close()
	a.snap.Close()
}

// writer looks a writer up; it is nil if the delta's vector lacks it.
func (a *apply) writer(w crdt.WriterID) *applyWriter {
	if a.last != nil && a.last.id == w {
		return a.last
	}
	aw := a.writers[w]
	if aw == nil {
		to := a.to.Seq(w)
		if to == 0 {
			return nil
		}
		aw = &applyWriter{id: w, own: a.own.Seq(w), to: to}
		aw.number, _ = a.ns.lineage.number(w)
		aw.node, _ = a.ns.NodeOf(w)
		a.writers[w] = aw
	}
	a.last = aw
	return aw
}

// number gives the number of a writer for encoding. Our own events that stay
// beside the delta's may be of writers that its vector lacks.
func (a *apply) number(w crdt.WriterID) uint64 {
	if aw := a.writer(w); aw != nil {
		return uint64(aw.number)
	}
	n, ok := a.ns.lineage.number(w)
	if !ok {
		panic(fmt.Sprintf("store: an event of writer %s, which has no number", w))
	}
	return uint64(n)
}

// admit checks one record of the delta, and calls fresh for each event that
// is new here: those get log entries. An event beyond the delta's vector
// would be no whole transaction.
func (a *apply) admit(e *crdt.Entry, fresh func(writer uint32, seq uint64)) error {
	a.done.Records++
	for i := range e.Record {
		ev := &e.Record[i]
		w := a.writer(ev.Writer)
		if w == nil || ev.Seq > w.to {
			return fmt.Errorf("%w: key %q: event %s:%d is not covered by the delta's vector",
				crdt.ErrDelta, string(e.Key), ev.Writer, ev.Seq)
		}
		if ev.Seq <= w.own {
			continue
		}
		if ev.Time > a.latest {
			a.latest, a.latestNode = ev.Time, w.node
		}
		fresh(w.number, ev.Seq)
	}
	return nil
}

// merged returns what the record is to become. If nothing of ours at the key
// is news to the sender, the sender's record replaces ours unread, but for
// removals that may have been collected here: the log finds them no more. A
// value that expires may have been collected as well, or not yet expire for
// long, so there ours is read.
func (a *apply) merged(e *crdt.Entry) (crdt.Record, error) {
	if !a.touched.has(string(e.Key)) && !slices.ContainsFunc(e.Record, a.unsure) {
		if slices.ContainsFunc(e.Record, a.collected) {
			return slices.DeleteFunc(slices.Clone(e.Record), a.collected), nil
		}
		return e.Record, nil
	}
	a.done.Read++
	rec, err := a.reads.get(a.snap, e.Key)
	if err != nil {
		return nil, err
	}
	return a.join(rec, a.own, e)
}

// join joins a record of ours, at a vector, with the sender's.
func (a *apply) join(rec crdt.Record, own *crdt.Past, e *crdt.Entry) (crdt.Record, error) {
	rec = crdt.Join(rec, own, e.Record, a.to)
	return rec, checkSiblings(e.Key, rec)
}

// collected reports whether an event is a removal that may have been collected
// here.
func (a *apply) collected(e crdt.Event) bool {
	return e.Removed && a.swept.Covers(e.Dot)
}

// unsure reports whether an event is a value that may have been collected here.
func (a *apply) unsure(e crdt.Event) bool { return e.Expires != 0 && a.swept.Covers(e.Dot) }

// touched is a set of keys that may say yes to a key that is not in it. Its
// memory is bounded: a set that would be larger contains every key.
type touched struct {
	all    bool
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func (t *touched) has(key string) bool {
	if t.all || len(t.hashes) == 0 {
		return t.all
	}
	_, ok := t.hashes[maphash.String(t.seed, key)]
	return ok
}

func (t *touched) add(key []byte) {
	if t.hashes == nil {
		t.seed, t.hashes = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	t.hashes[maphash.Bytes(t.seed, key)] = struct{}{}
	t.all = t.all || len(t.hashes) > touchedKeys
}

// findTouched reads from our log which keys have events of ours that the
// delta's vector does not cover. A record at any other key holds nothing that
// the sender has not seen, so the sender's replaces it. Where looking at the
// log would cost more than reading the records, all are taken as touched.
//
// Each key that is found is told to found, unless that is nil.
//
// A removal of ours that was collected, or a value that had expired, has no
// entry there any more: where the sender has not seen all that may have been,
// the log does not tell.
func (a *apply) findTouched(records int, found func(key []byte)) error {
	a.reads.most = records
	if !a.to.CoversAll(a.snap.view.at.floor) {
		a.touched.all = true
		return nil
	}
	left := touchedFree + touchedPerRecord*records
	ahead := a.ns.ahead(a.to, a.own)
	if left -= len(ahead); left < 0 { // each takes a seek
		a.touched.all = true
		return nil
	}
	return a.ns.scanLog(a.snap.view.snap, ahead, func(_ uint32, _ uint64, key []byte) bool {
		if left--; left < 0 {
			a.touched.all = true
		} else {
			a.touched.add(key)
			if found != nil {
				found(key)
			}
		}
		return !a.touched.all
	})
}

// putMeta puts the writer records that the delta brings, and the entries that
// it adds to the vector's normal form.
func (a *apply) putMeta(put putter) error {
	if err := a.ns.lineage.save(a.intro, a.ns.writers, put); err != nil {
		return err
	}
	news, after := crdt.Vector{}, a.after()
	for _, d := range a.own.Behind(a.to) {
		if !after.Implied(d.Writer) {
			news[d.Writer] = d.Seq
		}
	}
	for _, d := range a.numbered(news) {
		if err := a.ns.putEntry(put, d); err != nil {
			return err
		}
	}
	return nil
}

// after returns what the apply leads to, but for own commits meanwhile.
func (a *apply) after() *crdt.Past {
	after := a.own.Clone()
	after.Join(a.to)
	return after
}

// deleteImplied deletes the entries of the vector that writers imply which the
// delta brings. That of this run's writer is not ours to delete: commits go on.
func (a *apply) deleteImplied(b *pebble.Batch) error {
	after, own := a.after(), a.snap.view.at.own.Writer
	for _, rec := range a.intro {
		for _, p := range rec.Parents {
			if p.Writer == own || !a.own.Covers(crdt.Dot{Writer: p.Writer, Seq: 1}) || !after.Implied(p.Writer) {
				continue
			}
			if err := b.Delete(a.ns.vectors.indexed(nil, uint32(a.number(p.Writer))), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// putFloor puts the entries of the sender's floor that ours lacks. They come
// behind the records in the key space.
func (a *apply) putFloor(put putter) error {
	ours := a.snap.view.at.floor
	for _, d := range a.numbered(a.floor) {
		if ours.Covers(d) {
			continue
		}
		if err := a.ns.putEntryOf(a.ns.floors, put, d); err != nil {
			return err
		}
	}
	return nil
}

// numbered returns the entries of v in the order of their writers' numbers.
func (a *apply) numbered(v crdt.Vector) []crdt.Dot {
	entries := v.Entries()
	slices.SortFunc(entries, func(x, y crdt.Dot) int { return cmp.Compare(a.number(x.Writer), a.number(y.Writer)) })
	return entries
}

// move returns what the apply does to the position. The caller holds commits.
func (a *apply) move() func(*history) {
	at := &a.ns.history.visible
	foreign, own := at.foreign.Clone(), at.own
	foreign.Join(a.to)
	if twin := a.to.Seq(own.Writer) > a.began.Seq(own.Writer); twin && own.Seq > 0 {
		foreign.Advance(own.Writer, own.Seq) // it goes on as an entry like others
		a.ended, own = own.Writer, crdt.Dot{}
	}
	floor := at.floor
	if !floor.CoversAll(a.floor) {
		floor = a.ns.joinFloors(floor, a.floor)
	}
	return func(h *history) { h.commitForeign(foreign, own, floor) }
}

// settled does what is left once the apply is visible. The caller holds
// commits.
func (a *apply) settled() {
	ns := a.ns
	ns.lineage.noteSaved(a.intro)
	if a.ended != (crdt.WriterID{}) {
		ns.tail = a.ended
	}
	if at := ns.history.visible; at.own.Seq == 0 && at.foreign.Seq(ns.Writer()) > 0 {
		ns.endWriter(ErrTwin)
	}
	if ns.clock.Observe(a.latest, ns.store.now()) && a.latest > ns.skewed {
		ns.skewed = a.latest
		ns.store.options.Report(Report{ns.name, a.latestNode, fmt.Errorf("%w: node %s wrote at %d ms since 1970, it is %d here",
			ErrSkew, a.latestNode.Short(), a.latest.Millis(), ns.store.now())})
	}
	a.done.Changed = true
}

// endWriter gives the run another writer. The caller holds commits.
func (ns *Namespace) endWriter(why error) {
	ns.state.Lock()
	ended := ns.writer
	ns.writer = crdt.WriterID{}
	ns.state.Unlock()
	ns.store.options.Report(Report{ns.name, ns.store.options.Node, fmt.Errorf("%w: writer %s ends", why, ended)})
}
