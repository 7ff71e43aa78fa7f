package replica

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// DB is a node's database: an identity, a directory, and the namespaces in
// it. Safe for concurrent use.
type DB struct {
	dir      string
	options  Options
	log      *slog.Logger
	node     crdt.NodeID
	identity *transport.Identity // nil: a member of no cluster
	store    *store.Store
	clocks   *clocks
	opened   time.Time // by a clock that nobody sets

	// gate is passed by whatever uses the store, and shut by Close.
	gate    gate
	closing chan struct{} // closed when Close begins; ends what waits
	close   sync.Once
	closed  error          // what Close answered
	cleaner sync.WaitGroup // what runs in the background
	works   works          // of transactions that are over

	// admin is held while a namespace comes or goes. It is held over disk
	// writes, which mu is not.
	admin sync.Mutex

	mu         sync.RWMutex
	namespaces map[*store.Namespace]*Namespace
	names      map[string]*Namespace // the same, by name
	views      map[*View]struct{}    // those that hold a snapshot
	watching   atomic.Int64          // watchers of all namespaces

	notices     notices
	losses      losses
	divergences divergences
	twins       atomic.Int64 // how often a twin of this run was noticed

	// What syncs is told of namespaces: that one is here, is about to go,
	// or that more of it is on disk. None may block. Nil: nobody syncs.
	onOpened, onDropping, onDurable func(*store.Namespace)

	membership
}

// Open opens the database in dir, and makes it where there is none: with an
// identity of its own, and no peers, until Init or Join gave it a cluster.
// Errors are ErrOptions, ErrInUse, ErrNewerFormat (and nothing was written),
// ErrDamaged (see Repair), ErrRestoring, ErrRepairing, or the operating
// system's.
func Open(dir string, options Options) (*DB, error) {
	options, err := options.validate()
	if err != nil {
		return nil, err
	}
	d := &DB{
		dir: dir, options: options, log: options.Logger,
		closing: make(chan struct{}), opened: time.Now(),
		membership: membership{entered: make(chan struct{})},
		namespaces: map[*store.Namespace]*Namespace{},
		names:      map[string]*Namespace{},
		views:      map[*View]struct{}{},
		notices:    notices{now: options.Now},
	}
	if dir == "" && options.FS == vfs.Default {
		return nil, fmt.Errorf("%w: the directory has no name", ErrOptions)
	}
	if err := store.Probe(options.FS, dir); err != nil { // before it gets a key
		return nil, err
	}
	d.clocks = newClocks(d.ran, d.now, options.MaxSkew, d.clockChanged)
	self, err := loadSelf(dir, options)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	d.node, d.identity = self.node, self.member
	d.store, err = store.Open(dir, store.Options{
		FS: options.FS, Node: self.node, Sign: self.sign,
		Now: options.Now, Random: options.Random,
		MaxSkew: options.MaxSkew, BufferedSync: options.BufferedSync,
		CacheBytes: options.CacheBytes, MemTableBytes: options.MemTableBytes, MemoBytes: options.MemoBytes,
		RecordCacheBytes: options.RecordCacheBytes,
		StageBytes:       profiles[options.Profile].stageBytes, OpenFiles: profiles[options.Profile].openFiles,
		Forget:  notCopied,
		Visible: d.visible, Durable: d.durable, Report: d.report,
	})
	if err != nil {
		return nil, err
	}
	for _, name := range d.store.Namespaces() {
		s, err := d.store.Namespace(name)
		if err != nil {
			return nil, errors.Join(err, d.store.Close())
		}
		d.handle(s)
	}
	if err := d.enterCluster(); err != nil {
		return nil, errors.Join(err, d.store.Close())
	}
	d.startCollecting()
	if err := d.startReissuing(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close commits what was added to accumulators, ends the watchers and views, waits
// for commits that have begun, and closes the directory. It does not wait for
// closures and loops of the embedder: what they ask for afterwards is answered with
// ErrClosed, and transactions that have not begun to commit never will. To close
// twice does nothing.
func (d *DB) Close() error {
	d.close.Do(func() {
		close(d.closing)
		err := errors.Join(d.shutAccumulators(), d.leaveNetwork())
		d.gate.shut(ErrClosed)
		for _, v := range d.tracked() {
			v.end(ErrClosed)
		}
		d.cleaner.Wait()
		d.closed = errors.Join(err, d.store.Close())
	})
	return d.closed
}

// Renew ends the writers of this run, in all namespaces: what is written from
// now on is another's. Call it in a process that was resumed from a copy of its
// memory (a snapshot of a virtual machine, a restored container), before it
// writes: if the original goes on too, both would write under the same numbers.
// Where that has happened peers notice, and what was written at different keys
// is not lost (NoticeTwin, NoticeDiverged); but of what both wrote at one key
// before, one stays.
func (d *DB) Renew() error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	var failed error
	for _, name := range d.store.Namespaces() {
		ns, err := d.store.Namespace(name)
		if err == nil {
			err = ns.Renew()
		}
		if !errors.Is(err, ErrNoNamespace) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// Node returns the id of the node that this database is of.
func (d *DB) Node() crdt.NodeID { return d.node }

// ran returns for how many milliseconds the database has been open.
func (d *DB) ran() int64 { return time.Since(d.opened).Milliseconds() }

// now returns the wall clock in milliseconds since 1970.
func (d *DB) now() int64 { return d.options.Now().UnixMilli() }

// Health returns nil, or the fault that keeps the database from writing.
// Reads go on.
func (d *DB) Health() error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	return d.store.Health()
}

// Namespaces returns the names of the namespaces here, in order.
func (d *DB) Namespaces() ([]string, error) {
	if err := d.gate.enter(); err != nil {
		return nil, err
	}
	defer d.gate.leave()
	return d.store.Namespaces(), nil
}

// Namespace returns the namespace called name, and subscribes to it if it is
// not here. ErrName says that it cannot be called so.
func (d *DB) Namespace(name string) (*Namespace, error) {
	n, err := d.Lookup(name)
	if errors.Is(err, ErrNoNamespace) {
		return d.Create(name)
	}
	return n, err
}

// Lookup returns the namespace called name if it is here, else an error that
// wraps ErrNoNamespace.
func (d *DB) Lookup(name string) (*Namespace, error) {
	d.mu.RLock()
	n := d.names[name]
	d.mu.RUnlock()
	if n != nil && d.gate.enter() == nil {
		d.gate.leave()
		return n, nil
	}
	return d.namespace(func() (*store.Namespace, error) { return d.store.Namespace(name) })
}

// Create subscribes to the namespace called name, and does nothing if it is
// here. Its state comes from the peers that have it.
func (d *DB) Create(name string) (*Namespace, error) {
	return d.namespace(func() (*store.Namespace, error) { return d.store.Create(name) })
}

func (d *DB) namespace(open func() (*store.Namespace, error)) (*Namespace, error) {
	if err := d.gate.enter(); err != nil {
		return nil, err
	}
	defer d.gate.leave()
	d.admin.Lock()
	defer d.admin.Unlock()
	s, err := open()
	if err != nil {
		return nil, err
	}
	n, fresh := d.handle(s)
	if fresh && d.onOpened != nil {
		d.onOpened(s)
	}
	return n, nil
}

// handle returns the handle of a namespace, and whether it is new.
func (d *DB) handle(s *store.Namespace) (n *Namespace, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n = d.namespaces[s]; n != nil {
		return n, false
	}
	n = &Namespace{db: d, store: s, gone: make(chan struct{}), watchers: map[*watcher]struct{}{}}
	d.namespaces[s], d.names[s.Name()] = n, n
	return n, true
}

// Drop removes the namespace called name from this node, with all that is in
// it; peers keep theirs. What no peer has yet is lost.
func (d *DB) Drop(name string) error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	d.admin.Lock()
	defer d.admin.Unlock()
	s, err := d.store.Namespace(name)
	if err != nil {
		return err
	}
	if d.onDropping != nil {
		d.onDropping(s)
	}
	d.retire(s)
	d.losses.forget(name)
	d.divergences.forget(name)
	return d.store.Drop(name)
}

// retire ends the watchers and views of a namespace.
func (d *DB) retire(s *store.Namespace) {
	d.mu.Lock()
	n := d.namespaces[s]
	delete(d.namespaces, s)
	delete(d.names, s.Name())
	d.mu.Unlock()
	if n == nil {
		return
	}
	close(n.gone)
	n.adds.shut(ErrNoNamespace)
	for _, v := range d.tracked() {
		if v.ns == n {
			v.end(ErrNoNamespace)
		}
	}
}

// handles returns those of all namespaces, by name.
func (d *DB) handles() []*Namespace {
	d.mu.RLock()
	defer d.mu.RUnlock()
	ns := make([]*Namespace, 0, len(d.namespaces))
	for _, n := range d.namespaces {
		ns = append(ns, n)
	}
	slices.SortFunc(ns, func(a, b *Namespace) int { return strings.Compare(a.Name(), b.Name()) })
	return ns
}

// track notes that v holds a snapshot, so that Close and Drop can let go of
// it, and reports whether its namespace is still here.
func (d *DB) track(v *View) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	here := d.namespaces[v.ns.store] != nil
	if here {
		d.views[v] = struct{}{}
	}
	return here
}

func (d *DB) untrack(v *View) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.views, v)
}

func (d *DB) tracked() []*View {
	d.mu.RLock()
	defer d.mu.RUnlock()
	vs := make([]*View, 0, len(d.views))
	for v := range d.views {
		vs = append(vs, v)
	}
	return vs
}

// visible is called by the store when a transaction has become visible.
func (d *DB) visible(s *store.Namespace) {
	if d.watching.Load() == 0 { // who begins to watch now finds it
		return
	}
	d.mu.RLock()
	n := d.namespaces[s]
	d.mu.RUnlock()
	if n != nil {
		n.wake()
	}
}

// durable is called by the store when a transaction is on disk.
func (d *DB) durable(s *store.Namespace) {
	if d.onDurable != nil {
		d.onDurable(s)
	}
}
