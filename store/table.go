package store

import (
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// table is a sorted table on disk that waits to be ingested.
type table struct {
	path        string
	first, last crdt.Key // of the records in it; empty if it has none
	absent      bool     // some of them are staged without events
	leaves      bool     // some have events that a collection may have dropped
}

// tableWriter writes sorted tables of about tableBytes, from keys that come
// in order.
type tableWriter struct {
	engine  *engine
	options sstable.WriterOptions
	path    func(n int) string
	made    int // names given out

	tables []table
	w      *sstable.Writer // of the last of tables, or nil
	size   int
}

// newTableWriter writes tables for the stage with the given id; what says which.
func (s *Store) newTableWriter(id uint32, what string) (*tableWriter, error) {
	e := s.engine
	if err := e.FS.MkdirAll(s.stages.dir, 0o755); err != nil {
		return nil, err
	}
	o := &pebble.Options{}
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(bloomBits)
	o.EnsureDefaults()
	return &tableWriter{
		engine:  e,
		options: o.MakeWriterOptions(0, e.DB.TableFormat()),
		path:    func(n int) string { return e.FS.PathJoin(s.stages.dir, fmt.Sprintf("%d-%s-%d.sst", id, what, n)) },
	}, nil
}

// put adds a key and its value.
func (t *tableWriter) put(key, value []byte) error {
	if err := t.room(len(key) + len(value)); err != nil {
		return err
	}
	return t.w.Set(key, value)
}

// putRecord adds a record, or its absence if value is nil, and remembers
// which table it is in.
func (t *tableWriter) putRecord(k crdt.Key, key, value []byte) error {
	if err := t.room(len(key) + len(value)); err != nil {
		return err
	}
	at := &t.tables[len(t.tables)-1]
	if at.first == "" {
		at.first = k
	}
	at.last = k
	if value == nil {
		return t.w.Delete(key)
	}
	return t.w.Set(key, value)
}

// room begins a table if there is none with room.
func (t *tableWriter) room(bytes int) error {
	if t.size += bytes; t.w != nil && t.size > tableBytes {
		if err := t.cut(); err != nil {
			return err
		}
		t.size = bytes
	}
	if t.w != nil {
		return nil
	}
	name := t.path(t.made)
	t.made++
	f, err := t.engine.FS.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	t.tables = append(t.tables, table{path: name})
	t.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), t.options)
	return nil
}

// cut ends the table that is being written; it is fsynced then.
func (t *tableWriter) cut() error {
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w, t.size = nil, 0
	return w.Close()
}

// remove removes the tables; those that were ingested are gone.
func (t *tableWriter) remove() error {
	err := t.cut()
	for _, at := range t.tables {
		if e := t.engine.FS.Remove(at.path); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (t *tableWriter) paths() []string { return pathsOf(t.tables) }

func pathsOf(tables []table) []string {
	paths := make([]string, len(tables))
	for i := range tables {
		paths[i] = tables[i].path
	}
	return paths
}
