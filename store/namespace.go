package store

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Namespace is one namespace of a Store: its records, its log, and its one
// version vector. Safe for concurrent use.
//
// Three locks, taken in this order: applying lets one delta in at a time;
// commits orders what becomes visible, and is held while a commit validates
// and builds its batch; state is held for the moment in which Pebble and the
// position move together, so that a snapshot is of one position. None is held
// over an fsync, but for commits while a staged delta is ingested.
type Namespace struct {
	store   *Store
	name    string
	number  uint32
	records prefix
	log     prefix
	vectors prefix
	writers prefix
	floors  prefix
	points  prefix
	lineage lineage
	memos   *memos
	newest  newestLog
	cache   cachedRecords

	expiries prefix
	index    prefix

	collecting   sync.Mutex // one collection at a time; taken before applying
	collected    collected  // guarded by collecting
	noted        noted      // guarded by collecting
	applying     sync.Mutex
	applyBuilder builder

	commits sync.Mutex
	clock   crdt.Clock
	recent  recent
	builder builder
	group   []*Write       // what is being committed
	own     uint32         // the number of the writer, once it has committed
	tail    crdt.WriterID  // the last run's, if its entry is not on disk
	skewed  crdt.Timestamp // the timestamp last reported as skewed

	state   sync.Mutex
	history history
	writer  crdt.WriterID      // this run's; zero before it is asked for
	gone    error              // why the namespace takes no more calls
	held    map[*view]struct{} // views with a snapshot of Pebble's

	present atomic.Pointer[view] // of history.visible; nil while that moves; stored with state held
	over    atomic.Bool          // gone is set

	queue    commitQueue
	reads    atomic.Int64 // records read one by one
	unsynced atomic.Bool  // the syncer knows that there is something to sync
}

// loadNamespace reads a namespace's vector and lineage.
func (s *Store) loadNamespace(name string, number uint32) (*Namespace, error) {
	ns := &Namespace{
		store: s, name: name, number: number,
		records: makePrefix(spaceNamespace, number, partRecord),
		log:     makePrefix(spaceNamespace, number, partLog),
		vectors: makePrefix(spaceNamespace, number, partVector),
		writers: makePrefix(spaceNamespace, number, partWriter),
		floors:  makePrefix(spaceNamespace, number, partFloor),
		points:  makePrefix(spaceNamespace, number, partPoint),

		expiries: makePrefix(spaceNamespace, number, partExpiry),
		index:    makePrefix(spaceNamespace, number, partIndex),

		clock: crdt.Clock{MaxSkewMillis: s.options.MaxSkew.Milliseconds()},
	}
	err := ns.lineage.load(s.engine.DB, ns.writers, ns.index)
	if err == nil {
		err = ns.indexWriters()
	}
	if err != nil {
		return nil, fmt.Errorf("namespace %q: %w", name, err)
	}
	past, err := ns.loadPast(s.engine.DB)
	if err != nil {
		return nil, fmt.Errorf("namespace %q: %w", name, err)
	}
	floor, err := ns.loadFloor(s.engine.DB)
	if err != nil {
		return nil, fmt.Errorf("namespace %q: %w", name, err)
	}
	ns.history.visible = position{foreign: past, floor: floor}
	ns.history.durable = ns.history.visible
	ns.memos = s.memos.add()
	ns.held = map[*view]struct{}{}
	ns.cache.init(s.records)
	ns.arrive(&view{})
	return ns, nil
}

// loadPast reads the vector: the entries of its normal form. That of the last
// run's writer was never written: its log's tail says it.
func (ns *Namespace) loadPast(r pebble.Reader) (*crdt.Past, error) {
	v, err := ns.loadEntries(r, ns.vectors)
	if err == nil {
		err = ns.recoverOwn(r, v)
	}
	if err != nil {
		return nil, err
	}
	past := ns.Past(v)
	return past, ns.dropImplied(v, past)
}

// dropImplied removes the entries of the vector on disk that others imply. An
// older release wrote those of all writers, and tables do not remove any. What
// cannot be removed now is by a later Open.
func (ns *Namespace) dropImplied(v crdt.Vector, past *crdt.Past) error {
	b := ns.store.engine.DB.NewBatch()
	defer b.Close()
	for w := range v {
		if !past.Implied(w) {
			continue
		}
		if err := b.Delete(ns.vectors.indexed(nil, uint32(ns.mustNumber(w))), nil); err != nil {
			return err
		}
	}
	if b.Empty() || ns.store.engine.health() != nil {
		return nil
	}
	return ns.store.engine.free(b, false)
}

// loadEntries reads the entries that a part has of a vector.
func (ns *Namespace) loadEntries(r pebble.Reader, p prefix) (crdt.Vector, error) {
	v := crdt.Vector{}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: p[:], UpperBound: p.end()})
	if err != nil {
		return nil, readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n, _ := splitIndexed(it.Key())
		w, known := ns.lineage.writer(uint64(n))
		seq, err := readNumber(it.Value(), 1<<64-1)
		if err == nil && !known {
			err = fmt.Errorf("its writer has no record")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: entry of a vector %x: %w", ErrDamaged, it.Key(), err)
		}
		v[w] = seq
	}
	return v, readError(it.Error())
}

// recoverOwn joins the log's tail of the last run into v, and takes note of
// its last timestamp, so that ours are later if the clock was set back.
func (ns *Namespace) recoverOwn(r pebble.Reader, v crdt.Vector) error {
	number, ok, err := getNumber(r, ns.ownKey())
	if err != nil || !ok {
		return err
	}
	w, known := ns.lineage.writer(uint64(number))
	if !known {
		return fmt.Errorf("%w: the last run's writer %d has no record", ErrDamaged, number)
	}
	seq, err := logTail(r, ns.log, number)
	if err != nil {
		return err
	}
	v.Advance(w, seq)
	ns.tail = w
	tail := []stretch{{number, max(seq, 1) - 1, seq}}
	return scanLog(r, ns.log, tail, func(_ uint32, _ uint64, key []byte) bool {
		value, closer, err := r.Get(ns.records.record(nil, crdt.Key(key)))
		if err != nil {
			return false // whoever reads the record says what is wrong
		}
		defer closer.Close()
		reader := recordReader{writers: ns.lineage.writer}
		rec, _ := reader.read(key, value)
		for i := range rec {
			ns.clock.Observe(rec[i].Time, ns.store.now())
		}
		return false
	})
}

// ownKey is where the number of this store's last writer is.
func (ns *Namespace) ownKey() []byte {
	p := makePrefix(spaceNamespace, ns.number, partOwn)
	return p[:]
}

// Name returns the namespace's name.
func (ns *Namespace) Name() string { return ns.name }

// Incarnation returns a number that no other namespace of this store has or
// had: dropped and made again, a namespace has another one.
func (ns *Namespace) Incarnation() uint32 { return ns.number }

// Visible returns what is covered by all that is visible. It must not be
// modified.
func (ns *Namespace) Visible() *crdt.Past {
	p := ns.position()
	return p.past()
}

// Commits returns the number of the last commit that is visible: how many there
// were since Open.
func (ns *Namespace) Commits() uint64 {
	ns.state.Lock()
	defer ns.state.Unlock()
	return ns.history.visible.commit
}

// Vector returns the expanded vector of all that is visible: an entry for each
// writer ever. It is the caller's.
func (ns *Namespace) Vector() crdt.Vector { return ns.Visible().Expand() }

func (ns *Namespace) position() position {
	ns.state.Lock()
	defer ns.state.Unlock()
	return ns.history.visible
}

// Durable returns what is covered by all that is on disk. It must not be
// modified.
func (ns *Namespace) Durable() *crdt.Past {
	ns.state.Lock()
	p := ns.history.durable
	ns.state.Unlock()
	return p.past()
}

// Writer returns the writer of this run's transactions. It is random and made
// when it is first asked for. It changes only if a peer turns out to know
// more of it than this store does.
func (ns *Namespace) Writer() crdt.WriterID {
	ns.state.Lock()
	defer ns.state.Unlock()
	if ns.writer == (crdt.WriterID{}) {
		ns.writer = ns.store.newWriter()
	}
	return ns.writer
}

// retire makes the namespace refuse further calls with err, once the commits
// and applies under way are visible.
func (ns *Namespace) retire(err error) {
	ns.applying.Lock()
	ns.commits.Lock()
	ns.state.Lock()
	ns.gone = err
	ns.leave()
	ns.history.wake()
	ns.state.Unlock()
	ns.commits.Unlock()
	ns.applying.Unlock()
	ns.store.memos.remove(ns.memos)
}

// ended returns why the namespace is gone, or nil.
func (ns *Namespace) ended() error {
	ns.state.Lock()
	defer ns.state.Unlock()
	return ns.gone
}

// use begins a call that Close waits for, unless the namespace is gone. The
// caller holds state, and calls store.users.Done in the end.
func (ns *Namespace) use() error {
	if ns.gone == nil {
		ns.store.users.Add(1)
	}
	return ns.gone
}
