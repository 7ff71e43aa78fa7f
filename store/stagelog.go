package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// stageLog is the log of a stage: a key for each event that may be new here,
//
//	writer (4) | seq (8) | key
//
// It comes in the order of the records' keys and is read in its own. So it is
// sorted on disk, in runs: tables that are never ingested. In Pebble, where it
// was, sorting it cost more than all else that staging does, since each part
// of it overlaps all others.
type stageLog struct {
	engine *engine
	path   func(n int) string
	made   int // names given out
	room   int // bytes of memory for batch

	batch []logged // keys that are in no run yet, in the order in which they came
	keys  []byte   // of batch
	runs  []logRun // the oldest first; levels do not rise
}

// stagedKeyAt is where the record's key begins in one of the log.
const stagedKeyAt = 4 + 8

// logRun is a table of sorted keys. On level 0 it is of one batch, above of
// logRuns runs of the level below.
type logRun struct {
	path  string
	level int
}

func (s *Store) newStageLog(id uint32) stageLog {
	e := s.engine
	return stageLog{engine: e, room: logRunBytes, path: func(n int) string {
		return e.FS.PathJoin(s.stages.dir, fmt.Sprintf("%d-log-%d.sst", id, n))
	}}
}

// add adds what an event has in the log.
func (l *stageLog) add(writer uint32, seq uint64, k crdt.Key) error {
	at := len(l.keys)
	l.keys = append(appendLogged(l.keys, writer, seq), k...)
	l.batch = append(l.batch, logged{writer, seq, at, len(l.keys)})
	if len(l.keys)+loggedMemory*len(l.batch) < l.room {
		return nil
	}
	return l.flush()
}

// flush makes a run of the batch.
func (l *stageLog) flush() error {
	if len(l.batch) == 0 {
		return nil
	}
	key := func(at logged) []byte { return l.keys[at.at:at.end] }
	slices.SortFunc(l.batch, func(a, b logged) int { return bytes.Compare(key(a), key(b)) })
	err := l.write(0, func(put putter) error {
		var last []byte
		for _, at := range l.batch {
			if bytes.Equal(key(at), last) {
				continue // the record was staged again
			}
			last = key(at)
			if err := put(last, nil); err != nil {
				return err
			}
		}
		return nil
	})
	l.batch, l.keys = l.batch[:0], l.keys[:0]
	if err != nil {
		return err
	}
	return l.compact()
}

// compact merges the last runs while there are logRuns on their level: so few
// are read at a time, and each key is written once a level.
func (l *stageLog) compact() error {
	for {
		n := len(l.runs)
		if n < logRuns || l.runs[n-logRuns].level != l.runs[n-1].level {
			return nil
		}
		merged := slices.Clone(l.runs[n-logRuns:])
		it, err := l.iterator(merged)
		if err != nil {
			return err
		}
		err = l.write(merged[0].level+1, func(put putter) error {
			for ok := it.First(); ok; ok = it.Next() {
				if err := put(it.Key(), nil); err != nil {
					return err
				}
			}
			return readError(it.Error())
		})
		if err = errors.Join(err, it.Close()); err != nil {
			return err
		}
		l.runs = slices.Delete(l.runs, n-logRuns, n)
		for _, run := range merged {
			if err := l.engine.FS.Remove(run.path); err != nil {
				return err
			}
		}
	}
}

// write writes a run with the keys that fill puts, in order. It need not be on
// disk: nobody reads it after a crash.
func (l *stageLog) write(level int, fill func(putter) error) error {
	if err := l.engine.FS.MkdirAll(l.engine.FS.PathDir(l.path(0)), 0o755); err != nil {
		return err
	}
	name := l.path(l.made)
	l.made++
	f, err := l.engine.FS.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	l.runs = append(l.runs, logRun{name, level})
	o := runOptions().MakeWriterOptions(0, l.engine.DB.TableFormat())
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(unsynced{f}), o)
	err = fill(w.Set)
	return errors.Join(err, w.Close())
}

// unsynced is a file that is not fsynced.
type unsynced struct{ vfs.File }

func (unsynced) Sync() error { return nil }

// runOptions are those of runs.
func runOptions() *pebble.Options {
	o := &pebble.Options{}
	o.Levels[0].BlockSize = runBlockBytes
	o.EnsureDefaults()
	return o
}

// iterator reads runs, merged.
func (l *stageLog) iterator(runs []logRun) (*pebble.Iterator, error) {
	files := make([][]sstable.ReadableFile, 0, len(runs))
	for _, run := range slices.Backward(runs) { // the newest comes first
		f, err := l.engine.FS.Open(run.path)
		if err != nil {
			for _, opened := range files {
				err = errors.Join(err, opened[0].Close())
			}
			return nil, err
		}
		files = append(files, []sstable.ReadableFile{f})
	}
	it, err := pebble.NewExternalIter(runOptions(), nil, files)
	return it, readError(err)
}

// appendLogged appends what a key of the log begins with.
func appendLogged(dst []byte, writer uint32, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(dst, writer), seq)
}

// open returns what reads all that was added, or nil if that is nothing. The
// caller closes it.
func (l *stageLog) open() (*stageLogReader, error) {
	if err := l.flush(); err != nil || len(l.runs) == 0 {
		return nil, err
	}
	it, err := l.iterator(l.runs)
	if err != nil {
		return nil, err
	}
	return &stageLogReader{it}, nil
}

// remove frees the disk.
func (l *stageLog) remove() (err error) {
	for _, run := range l.runs {
		if e := l.engine.FS.Remove(run.path); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	l.batch, l.keys, l.runs = nil, nil, nil
	return err
}

// stageLogReader reads a stageLog.
type stageLogReader struct{ it *pebble.Iterator }

func (r *stageLogReader) close() error { return r.it.Close() }

// scan yields the transactions of one writer above a sequence number, with each
// of their keys.
func (r *stageLogReader) scan(writer uint32, after uint64, yield func(seq uint64, key crdt.Key) error) error {
	lower := appendLogged(nil, writer, after+1)
	upper := append(appendLogged(nil, writer, math.MaxUint64), 0xff)
	for ok := r.it.SeekGE(lower); ok && bytes.Compare(r.it.Key(), upper) < 0; ok = r.it.Next() {
		key := r.it.Key()
		if err := yield(binary.BigEndian.Uint64(key[4:]), crdt.Key(key[stagedKeyAt:])); err != nil {
			return err
		}
	}
	return readError(r.it.Error())
}
