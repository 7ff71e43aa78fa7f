package store

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// The floor of a namespace is a vector: of the removals and of the values that
// expire that it covers, some may have been collected, here or at a node whose
// records came here. (A value that expired is as good as a removal: it
// supersedes what it replaced.) Whoever does not cover it may still hold what
// such a removal removed, and the log would never tell. So it bounds what may be
// told by the log, in both directions:
//
//   - to a peer that does not cover our floor no delta is built, unless it
//     holds nothing at all (Changes);
//   - a record of a sender that does not cover our floor never replaces ours
//     unread (findTouched);
//   - with the records of a sender comes its floor: they may lack removals up
//     to it (newApply, move).
//
// On disk an apply only adds and raises entries, and a collection writes all of
// them anew; those that others imply are left out when it is read.

// loadFloor reads the floor.
func (ns *Namespace) loadFloor(r pebble.Reader) (crdt.Vector, error) {
	v, err := ns.loadEntries(r, ns.floors)
	if err != nil || len(v) == 0 {
		return nil, err
	}
	return ns.joinFloors(v, nil), nil
}

// joinFloors returns the join of two floors, in normal form.
func (ns *Namespace) joinFloors(a, b crdt.Vector) crdt.Vector {
	v := ns.Past(a)
	v.JoinVector(b)
	return v.Normal()
}

// Floor returns, in normal form, what may have been collected. It must not be
// modified.
func (ns *Namespace) Floor() crdt.Vector { return ns.position().floor }
