package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// checkTables reads every block of every table. A scan reads those of keys and
// values; a filter is read by who looks up one key.
func (s *Store) checkTables(ctx context.Context) error {
	levels, err := s.engine.DB.SSTables()
	if err != nil {
		return levelError(err)
	}
	for _, level := range levels {
		for i := range level {
			if err := ctx.Err(); err != nil {
				return err
			}
			name := fmt.Sprintf("%s.sst", level[i].BackingSSTNum)
			path := s.engine.FS.PathJoin(s.data, name)
			// A compaction may have removed it by now: then it is read no more.
			err := unlessPanic(func() error { return s.checkTable(ctx, path) })
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s: %w", path, levelError(err))
			}
		}
	}
	return nil
}

func (s *Store) checkTable(ctx context.Context, path string) error {
	r, err := openTable(ctx, s.engine.FS, path)
	if err != nil {
		return err
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// openTable opens a table for whoever reads it beside Pebble.
func openTable(ctx context.Context, fsys vfs.FS, path string) (*sstable.Reader, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o := &pebble.Options{}
	o.EnsureDefaults()
	r, err := sstable.NewReader(ctx, readable, o.MakeReaderOptions())
	if err != nil {
		return nil, errors.Join(err, readable.Close())
	}
	return r, nil
}
