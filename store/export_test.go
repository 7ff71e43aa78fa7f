package store

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// FinishOvertaken is Finish with something that happens between what is
// prepared on a snapshot and its publication.
func (in *Incoming) FinishOvertaken(to crdt.Vector, overtake func()) (Applied, error) {
	in.overtake = overtake
	return in.Finish(to)
}

// Flush writes the memtable out, as a full one is.
func (s *Store) Flush() error { return s.engine.DB.Flush() }

// OpenRaw opens the Pebble that a store of these options would have, for
// measuring against it.
func OpenRaw(dir string, o Options) (db *pebble.DB, closeDB func() error, err error) {
	e, err := openEngine(dir, engineOptions{FS: o.FS, CacheBytes: o.CacheBytes, MemTableBytes: o.MemTableBytes})
	if err != nil {
		return nil, nil, err
	}
	return e.DB, e.Close, nil
}
