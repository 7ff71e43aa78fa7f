package store

import (
	"errors"
	"fmt"
	"io/fs"
)

// errExamined says why a write fails.
var errExamined = errors.New("the store is open for reading alone")

// Examine opens the store in dir for reading alone, and calls look with it:
// nothing is written, not even where a crash has left work to be done, and
// what is written through it fails. What it cannot be opened for is what Open
// would fail with; but for ErrDamaged of a mark that an earlier run left: that
// comes joined with what look returns.
func Examine(dir string, o Options, look func(*Store) error) error {
	o.Visible, o.Durable = nil, nil
	if err := o.validate(); err != nil {
		return err
	}
	e, err := openEngine(dir, engineOptions{
		FS: o.FS, CacheBytes: o.CacheBytes, MemTableBytes: o.MemTableBytes, Purpose: purposeExamine,
		Report: func(error) {},
	})
	if err != nil {
		return err
	}
	s := newStore(dir, o, e)
	err = s.loadCatalog()
	if err == nil {
		err = look(s)
	}
	for _, ns := range s.open {
		ns.retire(ErrClosed)
	}
	s.users.Wait()
	closed := e.Close()
	if errors.Is(closed, ErrHalted) {
		closed = nil // by what look has found
	}
	return errors.Join(checkMark(e.FS, dir), err, closed)
}

// examinePebble opens Pebble for reading alone.
func examinePebble(dir, data string, version int, state string, o engineOptions) (*engine, error) {
	switch state {
	case stateReady, stateSavepoint:
	case stateRestoring:
		return nil, ErrRestoring
	case stateCreating:
		return nil, errors.New("its creation broke off; it holds nothing")
	default:
		return nil, fmt.Errorf("there is no store: %w", fs.ErrNotExist)
	}
	e := &engine{faults: newFaults(o.Report), ballast: &ballast{fs: o.FS}, reads: true}
	g := newGuard(o.FS, e.faults)
	e.FS = g
	w := &witness{guard: g, data: data}
	if version >= formatWitness {
		said, err := readWitness(o.FS, o.FS.PathJoin(dir, witnessFile))
		if err == nil {
			err = said.check(o.FS, data)
		}
		if err != nil {
			return nil, err
		}
		w.replay = said.logs
	}
	g.witness = w // it is asked about WALs; as nothing is written, it writes nothing
	p := e.pebbleOptions(o, defaultMemTableBytes, true)
	p.ReadOnly = true
	return e.openOn(data, p)
}
