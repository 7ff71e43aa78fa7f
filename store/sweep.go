package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// sweep is how far the namespace was collected.
//
//	key    08
//	value  01 array(3) vector transactions live; the vector as in a checkpoint
type sweep struct {
	upTo *crdt.Past // the removals that it covers were dropped
	// transactions is how many the vector counted when the whole log was
	// last looked at, and live how many of its entries were left.
	transactions, live uint64
}

// sweptKey is where the sweep is.
func (ns *Namespace) sweptKey() []byte {
	p := makePrefix(spaceNamespace, ns.number, partSwept)
	return p[:]
}

// loadSweep returns it, and whether there was one.
func (ns *Namespace) loadSweep(db pebble.Reader) (s sweep, found bool, err error) {
	s.upTo = ns.Past(nil)
	value, closer, err := db.Get(ns.sweptKey())
	if errors.Is(err, pebble.ErrNotFound) {
		return s, false, nil
	}
	if err != nil {
		return s, false, readError(err)
	}
	defer closer.Close()
	r, err := metaReader(value)
	if err == nil {
		if n := r.Array(3); n != 3 && r.Err() == nil {
			r.Fail(fmt.Sprintf("%d fields, want 3", n))
		}
		s.upTo = ns.Past(ns.readNumbered(r))
		s.transactions, s.live = r.Uint(), r.Uint()
		err = r.Done()
	}
	if err != nil {
		return s, false, fmt.Errorf("%w: how far was collected: %w", ErrDamaged, err)
	}
	return s, true, nil
}

func (ns *Namespace) saveSweep(s sweep) error {
	return ns.alone(func(b *pebble.Batch) error {
		v := crdt.AppendArray([]byte{metaFormat}, 3)
		v = appendNumbered(v, s.upTo.Normal(), ns.lineage.number)
		v = crdt.AppendUint(crdt.AppendUint(v, s.transactions), s.live)
		return b.Set(ns.sweptKey(), v, nil)
	})
}

// meet returns what both cover.
func meet(a, b *crdt.Past) *crdt.Past {
	out := a.Clone()
	out.Meet(b)
	return out
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[K interface{ ~uint32 | ~string }, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

// deleteParts deletes the stale parts. Long runs of them go by one tombstone.
func deleteParts(b *pebble.Batch, parts []part) (deleted int, err error) {
	for i := 0; i < len(parts); {
		end := i
		for end < len(parts) && parts[end].stale && parts[end].writer == parts[i].writer {
			end++
		}
		switch n := end - i; {
		case n == 0:
			end++
		case n >= rangeRun:
			err = b.DeleteRange(parts[i].key, append(parts[end-1].key, 0), nil)
			deleted += n
		default:
			for _, p := range parts[i:end] {
				err = errors.Join(err, b.Delete(p.key, nil))
			}
			deleted += n
		}
		if err != nil {
			return deleted, err
		}
		i = end
	}
	return deleted, nil
}

// putTails puts the entries of the vector that only the log's tails tell: the
// log is about to lose entries.
func (ns *Namespace) putTails(b *pebble.Batch, at position) error {
	put := func(key, value []byte) error { return b.Set(key, value, nil) }
	if at.own.Seq > 0 {
		if err := ns.putEntry(put, at.own); err != nil {
			return err
		}
	}
	if at.past().Implied(ns.tail) {
		return nil
	}
	return ns.putEntry(put, crdt.Dot{Writer: ns.tail, Seq: at.foreign.Seq(ns.tail)})
}
