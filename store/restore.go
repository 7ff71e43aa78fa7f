package store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrNotEmpty says that a directory holds namespaces, which a restore
	// would replace.
	ErrNotEmpty = errors.New("the store is not empty")
	// ErrRestoring says that a restore of the directory broke off. It can be
	// begun again, and nothing else.
	ErrRestoring = errors.New("a restore broke off, and has to be begun again")
)

// Restore fills the store in dir with what Backup wrote, and leaves it closed.
// The store may be there already, but without a namespace (ErrNotEmpty); the
// node-local values that it has stay. What is no whole backup is found before
// the directory is touched, if the input is an io.Seeker; of another one only
// the head is. The store is checked before Restore returns nil; if it fails or
// is cut off after that, Open answers with ErrRestoring until
// a Restore ended well. It fails with ErrBackup and where, with ErrNewerFormat,
// with the errors of Open and Check, or that of ctx.
//
// Whoever opens the store writes as a new writer, so a store restored twice,
// or beside the one that it is a backup of, is one more branch.
func Restore(ctx context.Context, dir string, in io.Reader, o Options) (err error) {
	o.Visible, o.Durable = nil, nil
	backup := &backupReader{in: in}
	if err := backup.rehearse(ctx); err != nil {
		return fmt.Errorf("restore %s: %w", dir, err)
	}
	s, err := open(dir, o, purposeRestore)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.Close())
		if err != nil {
			err = fmt.Errorf("restore %s: %w", dir, err)
		}
	}()
	if len(s.catalog) > 0 && !s.engine.broken {
		return fmt.Errorf("%w: it has namespace %q", ErrNotEmpty, s.Namespaces()[0])
	}
	fsys := o.FS
	if fsys == nil {
		fsys = vfs.Default
	}
	if err := writeFormat(fsys, dir, stateRestoring); err != nil {
		return err
	}
	if err := s.fill(ctx, backup); err != nil {
		return err
	}
	if err := s.Check(ctx); errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	} else if err != nil {
		return err
	}
	return writeFormat(fsys, dir, stateReady)
}

// fill puts all pairs of a backup into a store without a namespace, durably.
func (s *Store) fill(ctx context.Context, backup *backupReader) error {
	last, _, err := getNumber(s.engine.DB, []byte{spaceNumber})
	if err != nil {
		return err
	}
	for _, space := range []byte{spaceCatalog, spaceNamespace, spacePending} {
		if !s.engine.broken {
			break // it is empty
		}
		if err := s.engine.deleteRange([]byte{space}, []byte{space + 1}); err != nil {
			return err
		}
	}
	for end := false; !end; {
		if err := errors.Join(ctx.Err(), s.engine.admit()); err != nil {
			return err
		}
		b := s.engine.DB.NewBatch()
		end, err = backup.next(func(key, value []byte) error { return s.fillPair(b, key, value, last) })
		if err == nil {
			err = s.engine.apply(b, false)
		}
		if err := errors.Join(err, b.Close()); err != nil {
			return err
		}
	}
	if err := errors.Join(backup.end(), s.engine.sync()); err != nil {
		return err
	}
	return s.loadCatalog()
}

// fillPair puts one pair. last is the greatest number that the store itself
// gave out: none is ever given out again.
func (s *Store) fillPair(b *pebble.Batch, key, value []byte, last uint32) error {
	switch key[0] {
	case spaceNumber:
		n, err := readNumber(value, maxNumber)
		if err != nil {
			return fmt.Errorf("%w: value of %x: %w", ErrBackup, key, err)
		}
		value = appendNumber(nil, max(n, uint64(last)))
	case spaceLocal:
		_, closer, err := s.engine.DB.Get(key)
		if err == nil {
			return closer.Close() // that of the store stays
		}
		if !errors.Is(err, pebble.ErrNotFound) {
			return readError(err)
		}
	}
	return b.Set(key, value, nil)
}
