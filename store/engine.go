package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Bounds of the engine.
const (
	// defaultCacheBytes and defaultMemTableBytes suit a device with 64 MiB
	// to spare. Pebble takes its memtables out of the cache, so the cache
	// must be well above maxMemTables of them; a memtable of 1 MiB would
	// halve the rate of writes.
	defaultCacheBytes    = 16 << 20
	defaultMemTableBytes = 4 << 20
	// minMemTableBytes: a batch of half a memtable is logged and flushed by
	// itself, so below this every transaction would make a table.
	minMemTableBytes = 256 << 10
	// maxMemTables and maxLevel0: writes wait in admission while more than
	// these are there, the memtable that is being filled included; memory is
	// bounded by the first, and every read looks through all sublevels of
	// level 0. Pebble's own limits (pebble-) are out of reach: it would wait
	// with its commit pipeline locked, where no fault could end the wait.
	// It also keeps up to pebbleMemTables+1 old WALs to reuse, so not more.
	maxMemTables    = 3
	maxLevel0       = 12
	pebbleMemTables = 6
	pebbleLevel0    = 1 << 20
	// defaultOpenFiles bounds the tables that are open at a time. A store of a
	// million keys has about a hundred.
	defaultOpenFiles = 256
	// maxManifestBytes: the MANIFEST is replayed at Open, and its edits are
	// about 100 bytes; 4 MiB replay in milliseconds.
	maxManifestBytes = 4 << 20
	// bloomBits per key make one probe in a hundred read a block in vain,
	// and double or triple reads of keys that are not there.
	bloomBits = 10
	// pebbleFormat is 24. It is pinned, since a later Pebble's newest would
	// make stores that this release's binaries cannot open.
	pebbleFormat = pebble.FormatValueSeparation

	lockFile = "LOCK"
	dataDir  = "data"
)

// engineOptions are the options of an engine; the zero value works.
type engineOptions struct {
	FS                        vfs.FS      // nil: the real one
	CacheBytes, MemTableBytes int64       // 0: 16 MiB, 4 MiB
	OpenFiles                 int         // 0: 256
	Report                    func(error) // told of each fault once; may be called with locks held, must not block nor call back
	Purpose                   purpose
}

// purpose is what a directory is opened for.
type purpose int

const (
	purposeServe   purpose = iota
	purposeRestore         // what a restore left that broke off is the caller's
	purposeRepair          // so is what a repair left, and known damage is no reason to refuse
	purposeExamine         // nothing is written
)

// engine is Pebble under the rule that no fault of the disk ends the process
// and none is acknowledged as success. Reads go to DB directly, and their
// errors through readError. Writes go through apply, wait, sync and ingest
// only. Safe for concurrent use, until Close.
type engine struct {
	DB *pebble.DB
	FS vfs.FS // the guarded one: for tables that will be ingested

	faults  *faults
	witness *witness
	ballast *ballast
	backlog backlog
	lock    io.Closer
	aside   *aside
	broken  bool // a restore broke off here
	saved   bool // it is a checkpoint that was never open
	reads   bool // and nothing else: it was opened to be examined

	gate   sync.RWMutex // held shared while Pebble is called to write
	closed bool         // under gate
}

// openEngine opens the store's directory, and makes it if there is none. It
// fails with ErrInUse, ErrNewerFormat, ErrDamaged or ErrDiskFull, or the
// error of the filesystem. It refuses a newer format before it writes.
func openEngine(dir string, o engineOptions) (*engine, error) {
	if o.FS == nil {
		o.FS = vfs.Default
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("open store %s: %w", dir, err)
		}
		dir = abs
	}
	if err := checkDir(o.FS, dir, o.Purpose); err != nil {
		return nil, err
	}
	if o.Purpose != purposeExamine {
		if err := makeDir(o.FS, dir); err != nil {
			return nil, fmt.Errorf("open store %s: %w", dir, markFull(err))
		}
	}
	if o.FS == vfs.Default { // the lock of a process goes by name
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
	}
	lock, err := lockDir(o.FS, dir)
	if err != nil {
		return nil, err
	}
	e, err := openLocked(dir, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, markFull(err)), lock.Close())
	}
	e.lock = lock
	return e, nil
}

// makeDir makes dir, and the entries of what it made durable.
func makeDir(fsys vfs.FS, dir string) error {
	var sync []string // parents of what is missing, the innermost first
	for d := dir; ; {
		if _, err := fsys.Stat(d); err == nil || fsys.PathDir(d) == d {
			break
		}
		d = fsys.PathDir(d)
		sync = append(sync, d)
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range sync {
		if err := syncDir(fsys, d); err != nil {
			return err
		}
	}
	return nil
}

// lockDir takes the directory for this engine alone, among processes and
// within this one.
func lockDir(fsys vfs.FS, dir string) (io.Closer, error) {
	lock, err := fsys.Lock(fsys.PathJoin(dir, lockFile))
	var path *fs.PathError
	switch {
	case err == nil:
		return lock, nil
	case errors.As(err, &path): // not the lock, but its file
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	case errors.Is(err, syscall.EAGAIN): // "resource temporarily unavailable" says no more
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return nil, fmt.Errorf("%w: %s: %w", ErrInUse, dir, err)
}

func openLocked(dir string, o engineOptions) (*engine, error) {
	version, state, err := readLayout(o.FS, dir)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Purpose == purposeRepair, o.Purpose == purposeExamine:
	case o.Purpose == purposeRestore && state == stateRestoring:
		err = unmark(o.FS, dir) // of what is about to be replaced
	default:
		err = checkMark(o.FS, dir)
	}
	if err != nil {
		return nil, err
	}
	data := o.FS.PathJoin(dir, dataDir)
	if o.Purpose == purposeExamine {
		return examinePebble(dir, data, version, state, o)
	}
	switch {
	case state == stateRestoring && o.Purpose != purposeRestore:
		return nil, ErrRestoring
	case state == "" || state == stateCreating:
		if err := create(dir, data, state, o); err != nil {
			return nil, err
		}
	case version < formatWitness:
		ballast := o.FS.PathJoin(dir, ballastFile) // a full disk has room in its place
		room := vfs.OnDiskFull(o.FS, func() { _ = o.FS.Remove(ballast) })
		if err := migrateToWitness(room, dir, state); err != nil {
			return nil, err
		}
	}
	e, err := openPebble(dir, data, o, true)
	if err != nil {
		return nil, err
	}
	e.broken, e.saved = state == stateRestoring, state == stateSavepoint
	e.faults.onDamage(func(found error) {
		if err := markDamaged(o.FS, dir, found); err != nil {
			e.faults.report(err)
		}
	})
	e.ballast.mu.Lock()
	defer e.ballast.mu.Unlock()
	if err := e.ballast.restore(); err != nil {
		e.faults.setFull(true)
	}
	return e, nil
}

// create makes an empty Pebble and closes it: the first WAL of a new one has
// no sync chunks, so that damage in it would go unseen. The FORMAT file is
// there first and says so: what a crash leaves in between is made anew.
func create(dir, data, state string, o engineOptions) error {
	if state == "" {
		if err := checkVacant(o.FS, dir); err != nil {
			return err
		}
		if err := writeFormat(o.FS, dir, stateCreating); err != nil {
			return err
		}
	}
	if err := o.FS.RemoveAll(data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an interrupted creation left: %w", err)
	}
	if err := createWitness(o.FS, dir); err != nil {
		return err
	}
	e, err := openPebble(dir, data, o, false)
	if err != nil {
		return err
	}
	if err := e.Close(); err != nil {
		return err
	}
	return writeFormat(o.FS, dir, stateReady)
}

// openPebble opens Pebble on a guard of its own.
func openPebble(dir, data string, o engineOptions, exists bool) (*engine, error) {
	mem := max(orDefault(o.MemTableBytes, defaultMemTableBytes), minMemTableBytes)
	e := &engine{faults: newFaults(o.Report)}
	e.backlog.memTables = maxMemTables * uint64(mem)
	e.ballast = &ballast{fs: o.FS, name: o.FS.PathJoin(dir, ballastFile), bytes: ballastBytes(mem)}
	g := newGuard(vfs.OnDiskFull(o.FS, e.giveUpBallast), e.faults)
	w, err := openWitness(g, o.FS.PathJoin(dir, witnessFile), data)
	if err != nil {
		return nil, err
	}
	g.witness, e.witness, e.FS = w, w, g
	e.aside = &aside{FS: g, disk: o.FS, logs: w}
	p := e.pebbleOptions(o, mem, exists)
	p.FS = e.aside
	return e.openOn(data, p)
}

// openOn opens Pebble on the guard.
func (e *engine) openOn(data string, p *pebble.Options) (*engine, error) {
	w := e.witness
	db, err := e.openDB(data, p)
	if err == nil {
		w.opened()
		e.DB = db
		if err = e.faults.fatal(); err == nil {
			return e, nil
		}
		return nil, closed(err, e.Close())
	}
	w.close(false)
	if fault := e.faults.fatal(); fault != nil {
		return nil, fault
	}
	return nil, blame(p.FS, data, openError(err))
}

// openDB is pebble.Open, but returns in any case.
func (e *engine) openDB(data string, o *pebble.Options) (db *pebble.DB, err error) {
	e.faults.hurry.Store(true)
	defer e.faults.hurry.Store(false)
	err = e.faults.unlessStuck(func() error {
		opened, err := pebble.Open(data, o)
		db = opened
		return err
	})
	if err != nil {
		return nil, err // and db may still be written
	}
	return db, nil
}

func (e *engine) pebbleOptions(o engineOptions, mem int64, exists bool) *pebble.Options {
	p := &pebble.Options{
		FS:                          e.FS,
		Logger:                      e.faults,
		FormatMajorVersion:          pebbleFormat,
		ErrorIfNotExists:            exists,
		CacheSize:                   orDefault(o.CacheBytes, defaultCacheBytes),
		MemTableSize:                uint64(mem),
		MemTableStopWritesThreshold: pebbleMemTables,
		L0StopWritesThreshold:       pebbleLevel0,
		MaxOpenFiles:                int(orDefault(int64(o.OpenFiles), defaultOpenFiles)),
		MaxManifestFileSize:         maxManifestBytes,
	}
	compactions := newCompactions(e.faults)
	compactions.rest(openPause)
	p.Experimental.CompactionScheduler = compactions
	p.EventListener = e.listener(compactions)
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	return p
}

func orDefault(v, def int64) int64 {
	if v <= 0 {
		return def
	}
	return v
}

// openError tells damage from a disk that does not let us read: what Pebble
// says that the system does not is about the contents. (A table that is
// missing or short, or a line of OPTIONS, it does not mark as corruption.)
func openError(err error) error {
	var errno syscall.Errno
	if errors.Is(err, ErrDamaged) || (errors.As(err, &errno) && errno != syscall.ENOENT) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// giveUpBallast is called when a write found no room, before it is repeated.
func (e *engine) giveUpBallast() {
	e.ballast.mu.Lock()
	defer e.ballast.mu.Unlock()
	if err := e.ballast.release(); err != nil {
		e.faults.report(err)
	}
	e.faults.setFull(true)
}

// Close ends the engine, also after a fault: it returns the fault then. All
// iterators, snapshots and batches must be closed before. A second Close does
// nothing.
func (e *engine) Close() error {
	e.faults.closed.Store(true)
	e.faults.hurry.Store(true)
	e.faults.wake()
	e.faults.marking.Wait()
	e.gate.Lock()
	defer e.gate.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	err := e.faults.unlessStuck(e.DB.Close)
	if errors.Is(err, errStuck) {
		return errors.Join(e.faults.fatal(), err) // the lock stays: so does the DB
	}
	e.witness.close(true)
	if e.lock != nil {
		err = errors.Join(err, e.lock.Close())
	}
	return errors.Join(e.faults.fatal(), err)
}
