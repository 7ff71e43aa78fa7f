package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Snapshot is a consistent read of one namespace at one position: it shows
// whole transactions and whole deltas, and never anything later. It is a
// crdt.View. It holds disk space that compaction would free, so it must be
// closed, once. Safe for concurrent use, but for Close.
type Snapshot struct {
	ns   *Namespace
	view *view
}

var _ crdt.View = (*Snapshot)(nil)

// Snapshot returns a snapshot of all that is visible. It fails with
// ErrNoNamespace or ErrClosed.
func (ns *Namespace) Snapshot() (*Snapshot, error) {
	s, err := ns.snapshot()
	if err != nil {
		return nil, ns.named("read", err)
	}
	return s, nil
}

func (ns *Namespace) snapshot() (*Snapshot, error) {
	ns.state.Lock()
	defer ns.state.Unlock()
	if ns.gone != nil {
		return nil, ns.gone
	}
	return ns.snapshotOf(ns.present.Load())
}

// Close ends the snapshot. Nothing of it may be in use any more.
func (s *Snapshot) Close() error {
	if s.view == nil {
		return nil
	}
	v := s.view
	s.view = nil
	defer s.ns.store.users.Done()
	s.ns.state.Lock()
	defer s.ns.state.Unlock()
	v.snapshots--
	v.refs.Add(-1)
	return s.ns.melt(v)
}

// Pin returns the snapshot as a pin, which ends with it.
func (s *Snapshot) Pin() Pin { return Pin{ns: s.ns, commit: s.view.at.commit} }

// Number returns the number of the last commit that the snapshot shows.
func (s *Snapshot) Number() uint64 { return s.view.at.commit }

// Past returns what is covered by what the snapshot shows. It must not be
// modified.
func (s *Snapshot) Past() *crdt.Past { return s.view.at.past() }

// Vector returns the expanded vector of what the snapshot shows: an entry for
// each writer ever. It is the caller's.
func (s *Snapshot) Vector() crdt.Vector { return s.Past().Expand() }

// Floor returns, in normal form, what may have been collected: of the removals
// that it covers the snapshot may lack some. It must not be modified.
func (s *Snapshot) Floor() crdt.Vector { return s.view.at.floor }

// WaitDurable waits until all that the snapshot shows is on disk. It fails
// with ErrHalted, ErrNoNamespace, ErrClosed, or the context's error.
func (s *Snapshot) WaitDurable(ctx context.Context) error {
	return s.ns.waitDurable(ctx, s.view.at.commit)
}

// NodeOf returns the node that w is a run of.
func (s *Snapshot) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) { return s.ns.NodeOf(w) }

// Get returns the record at k, removals included, or nil. The record must not be
// modified. Errors wrap ErrDamaged, or are the filesystem's.
func (s *Snapshot) Get(k crdt.Key) (crdt.Record, error) {
	cache, commit := &s.ns.cache, s.view.at.commit
	if rec, ok := cache.get(k, commit); ok {
		return rec, nil
	}
	admit := cache.admits(k)
	rec, err := s.read(k)
	if err == nil && admit {
		cache.put(k, rec, commit)
	}
	return rec, err
}

// read is Get past the cache, for who reads a record once, to replace it.
func (s *Snapshot) read(k crdt.Key) (crdt.Record, error) { return s.ns.get(s.view.snap, k) }

// get reads one record.
func (ns *Namespace) get(r pebble.Reader, k crdt.Key) (crdt.Record, error) {
	ns.reads.Add(1)
	value, closer, err := r.Get(ns.records.record(make([]byte, 0, prefixLen+len(k)), k))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, ns.named("read", readError(err))
	}
	defer closer.Close()
	d := recordReader{writers: ns.lineage.writer}
	rec, err := d.decode(bytes.Clone(value))
	if err != nil {
		return nil, ns.named("read", fmt.Errorf("%w: record %q: %w", ErrDamaged, string(k), err))
	}
	return rec, nil
}

// Scan yields the records in span in key order, removals included. It stops
// after the first error. Entries are the caller's.
func (s *Snapshot) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		it, err := s.iterator(span)
		if err != nil {
			yield(crdt.Entry{}, err)
			return
		}
		defer it.Close()
		d := recordReader{writers: s.ns.lineage.writer}
		for ok := it.First(); ok; ok = it.Next() {
			e, err := d.entry(it)
			if err != nil {
				yield(crdt.Entry{}, s.ns.named("scan", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(crdt.Entry{}, s.ns.named("scan", readError(err)))
		}
	}
}

// Reaches reports whether the records take that many bytes or more, with their
// keys. It looks at no more of them than that takes.
func (s *Snapshot) Reaches(bytes int) (bool, error) {
	it, err := s.iterator(crdt.AllKeys)
	if err != nil {
		return false, err
	}
	defer it.Close()
	for ok := it.First(); ok && bytes > 0; ok = it.Next() {
		value := it.LazyValue()
		bytes -= len(it.Key()) - prefixLen + value.Len()
	}
	if err := it.Error(); err != nil {
		return false, s.ns.named("scan", readError(err))
	}
	return bytes <= 0, nil
}

// Last returns the record with the greatest key in span.
func (s *Snapshot) Last(span crdt.Span) (e crdt.Entry, ok bool, err error) {
	it, err := s.iterator(span)
	if err != nil {
		return crdt.Entry{}, false, err
	}
	defer it.Close()
	if !it.Last() {
		if err := it.Error(); err != nil {
			return crdt.Entry{}, false, s.ns.named("scan", readError(err))
		}
		return crdt.Entry{}, false, nil
	}
	d := recordReader{writers: s.ns.lineage.writer}
	if e, err = d.entry(it); err != nil {
		return crdt.Entry{}, false, s.ns.named("scan", err)
	}
	return e, true, nil
}

func (s *Snapshot) iterator(span crdt.Span) (*pebble.Iterator, error) {
	lower, upper := s.ns.records.bounds(span)
	it, err := s.view.snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, s.ns.named("scan", readError(err))
	}
	return it, nil
}

// seeker reads records of a snapshot by one iterator: many of them, best in the
// order of their keys. Not safe for concurrent use.
type seeker struct {
	*pebble.Iterator
	ns     *Namespace
	reader recordReader
	key    []byte
}

// seeker returns one, to be closed.
func (s *Snapshot) seeker() (*seeker, error) {
	it, err := s.iterator(crdt.AllKeys)
	if err != nil {
		return nil, err
	}
	return &seeker{Iterator: it, ns: s.ns, reader: recordReader{writers: s.ns.lineage.writer}}, nil
}

// get returns the record at k, or nil.
func (r *seeker) get(k crdt.Key) (crdt.Record, error) {
	r.key = r.ns.records.record(r.key[:0], k)
	if !seekNear(r.Iterator, r.key) {
		return nil, readError(r.Error())
	}
	e, err := r.reader.entry(r.Iterator)
	return e.Record, err
}

// seekNear moves an iterator to a key, and reports whether that is there. Of keys
// in order it is often the next, which takes a fraction of a seek.
func seekNear(it *pebble.Iterator, key []byte) bool {
	if it.Valid() && bytes.Compare(it.Key(), key) < 0 && it.Next() && bytes.Equal(it.Key(), key) {
		return true
	}
	return it.SeekGE(key) && bytes.Equal(it.Key(), key)
}

// entry reads the record that it is at.
func (d *recordReader) entry(it *pebble.Iterator) (crdt.Entry, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return crdt.Entry{}, readError(err)
	}
	key := it.Key()[prefixLen:]
	rec, err := d.read(key, value)
	return crdt.Entry{Key: d.key(key), Record: rec}, err
}
