package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/crashdisk"
	"github.com/anabranch-db/anabranch/store"
)

// crashWorld is a store that loses its power, two peers that do not, and what
// all of them should hold.
type crashWorld struct {
	fleet
	t      *testing.T
	rng    *rand.Rand
	kind   crashdisk.Kind
	stage  int // bytes from which on deltas are staged; 0 is anything
	disk   *crashdisk.Disk
	sick   atomic.Bool // operations of the disk may fail
	full   bool        // the disk fills up
	store  *store.Store
	peers  [2]*peer
	issued map[crdt.Dot]bool // every dot that the store ever gave out
	lines  map[uint32]*line  // by incarnation
	locals []string          // values that the node-local key had, oldest first
	cuts   int               // verified
	seen   map[string]int    // what the trace had

	mu      sync.Mutex
	pending []powerCut
	acked   promise // what a cut from now on must leave
}

// names are of the namespaces; the second comes and goes.
var crashNames = []string{"things", "other"}

// peer is another node: stores and models by namespace.
type peer struct {
	store  *store.Store
	models map[string]*model
}

// line is the history of one incarnation of a namespace: what it held after
// each of its commits.
type line struct {
	name   string
	states []*model
}

func (l *line) head() *model { return l.states[len(l.states)-1] }

// advance takes note of a commit.
func (l *line) advance(change func(*model)) {
	m := l.head().clone()
	change(m)
	l.states = append(l.states, m)
}

// promise is what a power cut must leave.
type promise struct {
	catalog map[string]uint32      // names and their incarnations
	durable map[uint32]crdt.Vector // by incarnation
	local   int                    // index in locals
}

func (p promise) clone() promise {
	q := promise{map[string]uint32{}, map[uint32]crdt.Vector{}, p.local}
	for k, v := range p.catalog {
		q.catalog[k] = v
	}
	for k, v := range p.durable {
		q.durable[k] = v.Clone()
	}
	return q
}

// powerCut is what one left, and what had been promised by then.
type powerCut struct {
	percent int // of what was not fsynced
	seed    uint64
	disk    *vfs.MemFS
	promise promise
}

func (c powerCut) String() string { return fmt.Sprintf("a cut that left %d%%", c.percent) }

func newCrashWorld(t *testing.T, seed uint64) *crashWorld {
	w := &crashWorld{
		t: t, kind: crashdisk.Kind(seed % 2), rng: rand.New(rand.NewPCG(seed, 1)),
		issued: map[crdt.Dot]bool{}, lines: map[uint32]*line{}, locals: []string{""},
		acked: promise{map[string]uint32{}, map[uint32]crdt.Vector{}, 0},
	}
	w.fleet.t = t
	w.disk = crashdisk.New(vfs.NewCrashableMem(), w.kind)
	for i := range w.peers {
		w.peers[i] = &peer{w.openWith(w.options(i+1, vfs.NewMem())), map[string]*model{}}
		for _, name := range crashNames {
			_, err := w.peers[i].store.Create(name)
			w.ok(err)
			w.peers[i].models[name] = newModel()
		}
	}
	w.open()
	w.create("things")
	return w
}

func (w *crashWorld) saw(what string, really bool) {
	if really && w.seen != nil {
		w.seen[what]++
	}
}

// errSick is what a step panics with when a sick disk ended it.
var errSick = errors.New("the disk is sick")

func (w *crashWorld) ok(err error) {
	w.t.Helper()
	if w.sick.Load() && (errors.Is(err, store.ErrHalted) || errors.Is(err, store.ErrDiskFull) || errors.Is(err, syscall.EIO)) {
		panic(errSick)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// options are those of the store that loses its power: small enough that
// many deltas are staged and memtables fill.
func (w *crashWorld) crashOptions(fs vfs.FS, chance uint64) store.Options {
	o := w.options(0, fs)
	if o.StageBytes = w.stage; w.stage == 0 {
		o.StageBytes = []int{500, 5000, 1 << 20}[chance%3]
	}
	o.MemTableBytes = 1 // the least
	return o
}

func (w *crashWorld) open() { w.openOn(w.disk) }

func (w *crashWorld) openOn(fs vfs.FS) {
	w.t.Helper()
	o := w.crashOptions(fs, w.rng.Uint64())
	o.Durable = w.noteDurable
	s, err := store.Open("db", o)
	w.ok(err)
	w.store = s
}

// noteDurable takes note of a promise that a namespace makes, and checks that
// it takes none back.
func (w *crashWorld) noteDurable(ns *store.Namespace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := ns.Durable().Expand()
	if !v.CoversAll(w.acked.durable[ns.Incarnation()]) {
		w.t.Errorf("the durable vector went back from %v to %v", w.acked.durable[ns.Incarnation()], v)
	}
	w.acked.durable[ns.Incarnation()] = v
}

// promised changes what was promised.
func (w *crashWorld) promised(change func(*promise)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.acked)
}

// watch cuts the power, on copies, at each fsync and some of the other
// operations from now on; at all of them if every cut is wanted.
func (w *crashWorld) watch() {
	seed, all := uint64(0), w.kind.Leaves()
	w.disk.Follow(func(n int64, op errorfs.Op) error {
		if !*everyCut && !crashdisk.IsSync(op) && n%cutShare != 0 {
			return nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		seed++
		for i, percent := range all {
			if !*everyCut && (seed+uint64(i))%uint64(len(all)) != 0 {
				continue // one of them at a time
			}
			p := w.acked.clone() // before the copy is made
			w.pending = append(w.pending, powerCut{percent, seed, w.disk.Cut(percent, seed), p})
		}
		return nil
	})
}

// cutShare is of how many operations that are no fsync one has a power cut
// before it, by default.
const cutShare = 7

// verify opens what the cuts so far left. It is called between steps, when
// the histories hold all that can be on a disk.
func (w *crashWorld) verify() {
	w.mu.Lock()
	pending := w.pending
	w.pending = nil
	w.mu.Unlock()
	for _, c := range pending {
		w.verifyCut(c)
		w.cuts++
	}
}

func (w *crashWorld) verifyCut(c powerCut) {
	w.t.Helper()
	s, err := store.Open("db", w.crashOptions(c.disk, c.seed))
	if err != nil {
		w.t.Fatalf("after %v: %v", c, err)
	}
	at := w.recovered(s, c)
	for _, name := range s.Namespaces() {
		ns, err := s.Namespace(name)
		w.ok(err)
		if *everyCut || c.seed%4 == 0 { // it syncs
			m := w.lines[ns.Incarnation()].states[at[ns.Incarnation()]].clone()
			for _, p := range w.peers {
				_, err := w.exchange(ns, w.peerNamespace(p, name), func() {})
				w.ok(err)
				m.merge(p.models[name])
			}
			if err := m.differs(ns); err != nil || !ns.Vector().Equal(m.vector) {
				w.t.Fatalf("after %v: %q, filled by its peers, has vector %v, want %v; %v", c, name, ns.Vector(), m.vector, err)
			}
		}
		// And it can be written to, by a writer of its own.
		d, err := ns.Commit(&store.Write{Ops: []store.Op{set(numbered(0), "after the cut")}})
		w.ok(err)
		if w.issued[d] {
			w.t.Fatalf("after %v: dot %s:%d is used again", c, d.Writer, d.Seq)
		}
	}
	w.ok(s.Check(context.Background()))
	w.ok(s.Close())
}

// recovered compares a store with what it may hold after a cut, and returns
// which of its states each incarnation is in.
func (w *crashWorld) recovered(s *store.Store, c powerCut) map[uint32]int {
	w.t.Helper()
	w.ok(s.Check(context.Background()))
	now := w.acked.catalog // what was under way at the cut has ended since
	at := map[uint32]int{}
	for _, name := range crashNames {
		ns, err := s.Namespace(name)
		var incarnation uint32
		if err == nil {
			incarnation = ns.Incarnation()
		}
		if incarnation != c.promise.catalog[name] && incarnation != now[name] {
			w.t.Fatalf("after %v: namespace %q is incarnation %d (%v), want %d or %d",
				c, name, incarnation, err, c.promise.catalog[name], now[name])
		}
		if incarnation > 0 {
			at[incarnation] = w.matchState(ns, c)
		}
	}
	local, err := s.Local("key")
	w.ok(err)
	if i := slices.Index(w.locals, string(local)); i < c.promise.local {
		w.t.Fatalf("after %v: the local value is %q, want that of %q or later",
			c, local, w.locals[c.promise.local])
	}
	return at
}

// matchState finds the state in which a namespace is. There must be one that
// is equal in every record, and it must cover what was durable.
func (w *crashWorld) matchState(ns *store.Namespace, c powerCut) int {
	w.t.Helper()
	l := w.lines[ns.Incarnation()]
	if l == nil {
		w.t.Fatalf("incarnation %d of %q was never made", ns.Incarnation(), ns.Name())
	}
	v := ns.Vector()
	durable := c.promise.durable[ns.Incarnation()]
	if !v.CoversAll(durable) {
		w.t.Fatalf("after %v: %q covers %v, but %v was durable", c, ns.Name(), v, durable)
	}
	for i, m := range l.states {
		if m.vector.Equal(v) {
			if err := m.differs(ns); err != nil {
				w.t.Fatalf("after %v: %q at commit %d of %d: %v", c, ns.Name(), i, len(l.states), err)
			}
			return i
		}
	}
	w.t.Fatalf("after %v: %q covers %v, and never did between two commits", c, ns.Name(), v)
	return 0
}

// differs returns how a namespace differs from m. Removals up to its floor may
// have been collected.
func (m *model) differs(ns *store.Namespace) error {
	s, err := ns.Snapshot()
	if err != nil {
		return err
	}
	defer s.Close()
	floor := ns.Past(s.Floor())
	found := map[crdt.Key]crdt.Record{}
	for e, err := range s.Scan(crdt.AllKeys) {
		if err != nil {
			return err
		}
		found[e.Key] = e.Record
		if len(m.records[e.Key]) == 0 {
			return fmt.Errorf("%q holds %v, want nothing", e.Key, e.Record)
		}
	}
	for k, want := range m.records {
		got := found[k]
		left := slices.DeleteFunc(slices.Clone(want), func(e crdt.Event) bool {
			held := slices.ContainsFunc(got, func(g crdt.Event) bool { return g.Dot == e.Dot })
			return e.Removed && !held && floor.Covers(e.Dot)
		})
		if crdtBytes(got) != crdtBytes(left) {
			return fmt.Errorf("%q holds %v, want %v", k, got, want)
		}
	}
	return nil
}
