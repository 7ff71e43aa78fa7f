package store

import (
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// What a repair could read of a damaged namespace, and what waits in the new
// one to be compared with what peers have, is in a space of its own, as the
// damaged one had it: records with its numbers of writers, the records of
// these writers, and its vector, or an older one. What waited there itself is
// joined to it (waited.go).
const (
	pendingWriter = 0x01 // number -> writer record
	pendingVector = 0x02 // number -> seq
	pendingRecord = 0x03 // key    -> record
)

// pendingRange returns the range of all that waits for a namespace.
func pendingRange(number uint32) (lower, upper []byte) {
	from, to := makePrefix(spacePending, number, 0), makePrefix(spacePending, number, 0xff)
	return from[:], to[:]
}

// Pending reports whether records of the store that this one was repaired from
// wait for Reissue.
func (ns *Namespace) Pending() (bool, error) {
	if err := ns.store.use(); err != nil {
		return false, err
	}
	defer ns.store.users.Done()
	lower, upper := pendingRange(ns.number)
	it, err := ns.store.engine.DB.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return false, ns.named("read", readError(err))
	}
	some := it.First()
	return some, errors.Join(readError(it.Error()), it.Close())
}

// Refilled reports whether the namespace covers all that the store which it was
// repaired from had of other nodes, as far as that can be read. What does not
// reach so far is older than what the damaged store had: nobody can tell by it
// what is still to be written again. Errors are those of Pending.
func (ns *Namespace) Refilled() (bool, error) {
	p, err := ns.loadPending()
	if err != nil {
		return false, ns.named("read", err)
	}
	own := ns.Visible()
	for _, w := range p.others {
		if !own.Covers(crdt.Dot{Writer: w, Seq: p.past.Seq(w)}) {
			return false, nil
		}
	}
	return true, nil
}

// lostWriter stands for a writer of whom only the number is known: its record
// could not be read. It ends in that, behind what no random id begins with.
func lostWriter(n uint64) (w crdt.WriterID) {
	for i := range w {
		w[i] = 0xff
	}
	binary.BigEndian.PutUint32(w[len(w)-4:], uint32(n))
	return w
}

// namedWriter is of a recordReader that only looks whether a record can be
// read.
func namedWriter(n uint64) (crdt.WriterID, bool) { return lostWriter(n), n <= maxNumber }

// lostNumber returns what lostWriter made w of, and whether it did.
func lostNumber(w crdt.WriterID) (uint64, bool) {
	n := uint64(binary.BigEndian.Uint32(w[len(w)-4:]))
	return n, w == lostWriter(n)
}

// isLost reports whether w is from lostWriter.
func isLost(w crdt.WriterID) bool {
	_, lost := lostNumber(w)
	return lost
}
