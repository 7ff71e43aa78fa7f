package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Errors about namespaces; callers branch on them.
var (
	// ErrNoNamespace says that there is no namespace of that name, or that
	// it was dropped.
	ErrNoNamespace = errors.New("no such namespace")
	// ErrName says that a name cannot be one of a namespace.
	ErrName = errors.New("invalid namespace name")
)

// Store is one node's store: one directory, one Pebble. Safe for concurrent
// use.
type Store struct {
	options Options
	data    string // Pebble's directory
	engine  *engine
	syncer  *syncer
	stages  stages
	memos   *memoPool
	records *recordCache

	mu      sync.RWMutex
	catalog map[string]uint32     // all namespaces
	open    map[string]*Namespace // those asked for so far
	closed  bool
	backups map[*pebble.Snapshot]struct{} // those under way

	// users counts the calls and snapshots that Close waits for. It is raised
	// by who saw, under a lock, that closed or gone is not set yet.
	users sync.WaitGroup
}

// Open opens the store in dir, and makes one if there is none. It fails with
// ErrInUse if somebody has it open, ErrNewerFormat (and nothing written) if a
// later release wrote it, ErrDamaged if what is there is not what was
// written, ErrRestoring, ErrRepairing, ErrDiskFull, or the filesystem's error.
func Open(dir string, o Options) (*Store, error) { return open(dir, o, purposeServe) }

// open is Open; a restore or a repair may open what Open refuses.
func open(dir string, o Options, why purpose) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	e, err := openEngine(dir, engineOptions{
		FS: o.FS, CacheBytes: o.CacheBytes, MemTableBytes: o.MemTableBytes, OpenFiles: o.OpenFiles,
		Report:  func(err error) { o.Report(Report{Err: err}) },
		Purpose: why,
	})
	if err != nil {
		return nil, err
	}
	s := newStore(dir, o, e)
	err = errors.Join(s.loadCatalog(), s.stages.clean(e))
	if err == nil && e.saved && why == purposeServe {
		if err = s.forget(); err == nil { // from now on it is a store like any other
			err = writeFormat(e.aside.disk, dir, stateReady)
		}
	}
	if err != nil {
		return nil, closed(fmt.Errorf("open store %s: %w", dir, err), e.Close())
	}
	s.syncer = newSyncer(e, o.BufferedSync)
	return s, nil
}

func newStore(dir string, o Options, e *engine) *Store {
	s := &Store{
		options: o, data: e.FS.PathJoin(dir, dataDir), engine: e, memos: newMemoPool(o.MemoBytes), records: newRecordCache(o.RecordCacheBytes),
		open: map[string]*Namespace{}, backups: map[*pebble.Snapshot]struct{}{},
	}
	s.stages.dir = e.FS.PathJoin(dir, stageDir)
	return s
}

// loadCatalog reads the names and numbers of the namespaces.
func (s *Store) loadCatalog() error {
	s.catalog = map[string]uint32{}
	it, err := s.engine.DB.NewIter(&pebble.IterOptions{
		LowerBound: []byte{spaceCatalog}, UpperBound: []byte{spaceCatalog + 1},
	})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n, err := readNumber(it.Value(), maxNumber)
		if err != nil {
			return fmt.Errorf("%w: catalog entry %q: %w", ErrDamaged, it.Key()[1:], err)
		}
		s.catalog[string(it.Key()[1:])] = uint32(n)
	}
	return readError(it.Error())
}

// Close ends the store: calls under way and open snapshots are waited for,
// later calls fail with ErrClosed, and all that is visible becomes durable. It
// returns the fault that stopped writing, if there is one. A second Close
// does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	for _, ns := range s.open {
		ns.retire(ErrClosed)
	}
	s.users.Wait()
	s.endBackups()
	return closed(s.syncer.stop(), s.engine.Close())
}

// Health returns nil, or why writes fail: then commits and applies fail with
// it, and reads go on. Errors wrap ErrHalted, or ErrDiskFull if writes will
// work again once there is room.
func (s *Store) Health() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	return s.engine.health()
}

// Namespaces returns the names of all namespaces, sorted.
func (s *Store) Namespaces() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make([]string, 0, len(s.catalog))
	for name := range s.catalog {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Namespace returns the namespace of that name, or ErrNoNamespace.
func (s *Store) Namespace(name string) (*Namespace, error) {
	s.mu.RLock()
	ns, closed := s.open[name], s.closed
	s.mu.RUnlock()
	if ns != nil && !closed {
		return ns, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.namespace(name)
}

func (s *Store) namespace(name string) (*Namespace, error) {
	if s.closed {
		return nil, ErrClosed
	}
	if ns := s.open[name]; ns != nil {
		return ns, nil
	}
	number, ok := s.catalog[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoNamespace, name)
	}
	ns, err := s.loadNamespace(name, number)
	if err == nil {
		s.open[name] = ns
	}
	return ns, err
}

// Create returns the namespace of that name, and makes it, durably, if there
// is none. It fails with ErrName if no namespace can be called so.
func (s *Store) Create(name string) (*Namespace, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.catalog[name]; !ok && !s.closed {
		if err := s.create(name); err != nil {
			return nil, fmt.Errorf("create namespace %q: %w", name, err)
		}
	}
	return s.namespace(name)
}

func (s *Store) create(name string) error {
	if err := s.engine.health(); err != nil {
		return err
	}
	last, _, err := getNumber(s.engine.DB, []byte{spaceNumber})
	if err != nil {
		return err
	}
	number := last + 1
	err = s.commit(s.engine.apply, func(b *pebble.Batch) error {
		return errors.Join(
			b.Set([]byte{spaceNumber}, appendNumber(nil, uint64(number)), nil),
			b.Set(catalogKey(name), appendNumber(nil, uint64(number)), nil))
	})
	if err == nil {
		s.catalog[name] = number
	}
	return err
}

// Drop removes a namespace and all that it holds, durably. Its handles fail
// with ErrNoNamespace from then on; snapshots that are open stay as they are.
// This run's writer ends there: made again, the namespace has another one.
func (s *Store) Drop(name string) error {
	if err := s.retire(name); err != nil {
		return err
	}
	defer s.mu.Unlock()
	number := s.catalog[name]
	delete(s.open, name)
	lower, upper := namespaceRange(number)
	waiting, end := pendingRange(number)
	err := s.commit(s.engine.free, func(b *pebble.Batch) error {
		return errors.Join(b.Delete(catalogKey(name), nil), b.DeleteRange(lower, upper, nil), b.DeleteRange(waiting, end, nil))
	})
	if err != nil {
		return fmt.Errorf("drop namespace %q: %w", name, err)
	}
	delete(s.catalog, name)
	return nil
}

// retire retires a namespace that is to be dropped, and returns with mu held,
// unless there is an error. What it waits for may itself wait for mu.
func (s *Store) retire(name string) error {
	var retired *Namespace
	for {
		s.mu.Lock()
		if err := s.mayDrop(name); err != nil {
			s.mu.Unlock()
			return err
		}
		ns := s.open[name]
		if ns == nil || ns == retired {
			return nil
		}
		s.mu.Unlock()
		ns.retire(fmt.Errorf("%w: %q was dropped", ErrNoNamespace, name))
		retired = ns
	}
}

// mayDrop returns why a namespace cannot be dropped. The caller holds mu.
func (s *Store) mayDrop(name string) error {
	if s.closed {
		return ErrClosed
	}
	if _, ok := s.catalog[name]; !ok {
		return fmt.Errorf("%w: %q", ErrNoNamespace, name)
	}
	if err := s.engine.open(); err != nil {
		return fmt.Errorf("drop namespace %q: %w", name, err)
	}
	return nil
}

// commit writes what concerns no namespace's history, durably; apply is the
// engine's, or its free.
func (s *Store) commit(apply func(*pebble.Batch, bool) error, fill func(*pebble.Batch) error) error {
	b := s.engine.DB.NewBatch()
	defer b.Close()
	if err := fill(b); err != nil {
		return err
	}
	if err := apply(b, true); err != nil {
		return err
	}
	return s.engine.wait(b)
}

// CheckName returns nil if a namespace can have that name: 1 to 128 of
// [A-Za-z0-9._-]. Else the error wraps ErrName.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > crdt.MaxNamespaceBytes {
		return fmt.Errorf("%w %q: %d bytes, want 1 to %d", ErrName, name, len(name), crdt.MaxNamespaceBytes)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("%w %q: byte %q, want A-Z a-z 0-9 . _ -", ErrName, name, c)
		}
	}
	return nil
}

// newWriter returns a new writer's id. crypto/rand, which cannot fail, stands
// in for a source that does.
func (s *Store) newWriter() (w crdt.WriterID) {
	if _, err := io.ReadFull(s.options.Random, w[:]); err != nil {
		rand.Read(w[:])
	}
	return w
}

// now returns the wall clock in milliseconds since 1970.
func (s *Store) now() int64 { return s.options.Now().UnixMilli() }

// getNumber reads the value of whatever is one number, if it is there.
func getNumber(r pebble.Reader, key []byte) (n uint32, ok bool, err error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, readError(err)
	}
	defer closer.Close()
	u, err := readNumber(value, maxNumber)
	if err != nil {
		return 0, false, fmt.Errorf("%w: value of %x: %w", ErrDamaged, key, err)
	}
	return uint32(u), true, nil
}
