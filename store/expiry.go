package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// The expiry index leads from times to the records with a value that expires:
//
//	key    09 bucket (8) | key of the record
//	value  none
//
// An entry is put blind with each event that expires, by a commit, an apply and a
// heal, and removed by the first collection after its bucket that finds it
// leads nowhere. A bucket is not before the expiry, and after it by a sixteenth
// of what the value had left when it was put at most, or by the least width: so
// a record that is written again and again has an entry for each bucket that
// its values expire in, from the last collection on, and not one for each write.

const (
	// bucketLeast is the least width of a bucket: 17 minutes, which nobody waits
	// for where removals are kept for days. What is written every second to
	// show that it is alive has four entries an hour, which is how often the
	// replica collects.
	bucketLeast = 1 << 20
	// bucketMost is the greatest, about nine hours: a value that is there for
	// years is collected as late as that, and a device that believed in 1970
	// when it put an entry is not misled by decades.
	bucketMost = 1 << 25
	// bucketShare is the part of a value's time that a bucket may take.
	bucketShare = 16
)

// bucketOf returns the bucket of what expires at a time, and is put now.
func bucketOf(expires, now int64) int64 {
	width := int64(bucketLeast)
	for width < bucketMost && 2*bucketShare*width <= expires-now {
		width *= 2
	}
	return (expires + width - 1) / width * width
}

// expiring returns the key of an index entry.
func (p prefix) expiring(dst []byte, bucket int64, k crdt.Key) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, p[:]...), uint64(bucket))
	return append(dst, k...)
}

// expiryKeyLen is the length of what comes before a record's key in an entry's.
const expiryKeyLen = prefixLen + 8

// expiryEntry is one that was read.
type expiryEntry struct {
	raw    []byte
	bucket int64
	key    crdt.Key
}

// splitExpiring takes apart what expiring made.
func splitExpiring(key []byte) (e expiryEntry, ok bool) {
	if len(key) <= expiryKeyLen {
		return e, false
	}
	e.raw = append([]byte{}, key...)
	e.bucket = int64(binary.BigEndian.Uint64(key[prefixLen:]))
	e.key = crdt.Key(key[expiryKeyLen:])
	return e, true
}

// leads reports whether an index entry is still needed to find an event.
func (e *expiryEntry) leads(ev *crdt.Event) bool { return ev.Expires != 0 && ev.Expires <= e.bucket }

// putExpiry puts the index entry of an event, if it expires at all. The event is
// new here: by now its bucket might be another one.
func (ns *Namespace) putExpiry(bl *builder, k crdt.Key, expires int64, put putter) error {
	if expires == 0 {
		return nil
	}
	bl.key = ns.expiries.expiring(bl.key[:0], bucketOf(expires, ns.store.now()), k)
	return put(bl.key, nil)
}

// scanExpiries yields the entries of the index from a bucket up to another.
func (ns *Namespace) scanExpiries(r pebble.Reader, from []byte, last int64, yield func(e expiryEntry) bool) error {
	upper := ns.expiries.expiring(nil, last+1, "")
	if bytes.Compare(from, upper) >= 0 {
		return nil
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: upper})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		e, ok := splitExpiring(it.Key())
		if !ok {
			return fmt.Errorf("%w: key of the expiry index %x", ErrDamaged, it.Key())
		}
		if !yield(e) {
			return nil
		}
	}
	return readError(it.Error())
}

// indexed reports whether the index leads to an event that expires.
func (ns *Namespace) indexed(r pebble.Reader, k crdt.Key, expires int64) (bool, error) {
	for width := int64(bucketLeast); width <= bucketMost; width *= 2 {
		bucket := (expires + width - 1) / width * width
		_, closer, err := r.Get(ns.expiries.expiring(nil, bucket, k))
		if err == nil {
			return true, closer.Close()
		}
		if err != pebble.ErrNotFound {
			return false, readError(err)
		}
	}
	return false, nil
}
