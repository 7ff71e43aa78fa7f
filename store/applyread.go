package store

import (
	"github.com/anabranch-db/anabranch/crdt"
)

// applyReads reads the records of a snapshot that an apply has to join, in the
// order of their keys: the first few one by one, and then, where they lie close
// to each other, by one iterator.
type applyReads struct {
	most int // how many records there may be to read
	read int
	near bool    // they lie close to each other, as was found once fewChanges were read
	it   *seeker // nil: they are read one by one
}

// get returns the record of s at k, or nil.
func (r *applyReads) get(s *Snapshot, k crdt.Key) (crdt.Record, error) {
	if r.read++; r.read == fewChanges+1 {
		var err error
		if r.near, err = s.near(uint64(r.most)); err != nil {
			return nil, err
		}
	}
	if !r.near {
		return s.read(k)
	}
	if r.it == nil {
		var err error
		if r.it, err = s.seeker(); err != nil {
			return nil, err
		}
	}
	s.ns.reads.Add(1)
	return r.it.get(k)
}

// close ends the reading of a snapshot; the next may be of another.
func (r *applyReads) close() error {
	if r.it == nil {
		return nil
	}
	it := r.it
	r.it = nil
	return it.Close()
}
