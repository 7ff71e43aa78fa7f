package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// A checkpoint is the vector of what was here at some time of our own clock:
// it tells how long a removal has been here, whatever its timestamp says.
//
//	key    07 time, in milliseconds since 1970
//	value  01 array of writer number and seq in turn, in normal form

// clockSet is the time before which a clock was never set: it began at 1970
// when the device booted. What such a clock measures is not kept.
var clockSet = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// pointKey returns the key of a checkpoint.
func (ns *Namespace) pointKey(at time.Time) []byte {
	return binary.BigEndian.AppendUint64(ns.points[:], uint64(at.UnixMilli()))
}

// checkpoint is one that was read.
type checkpoint struct {
	key    []byte
	at     time.Time
	vector crdt.Vector // in normal form
}

// checkpoints reads all of them, the oldest first.
func (ns *Namespace) checkpoints() ([]checkpoint, error) {
	it, err := ns.store.engine.DB.NewIter(&pebble.IterOptions{LowerBound: ns.points[:], UpperBound: ns.points.end()})
	if err != nil {
		return nil, readError(err)
	}
	defer it.Close()
	var points []checkpoint
	for ok := it.First(); ok; ok = it.Next() {
		p := checkpoint{key: append([]byte{}, it.Key()...)}
		if len(p.key) != prefixLen+8 {
			return nil, fmt.Errorf("%w: key of a checkpoint %x", ErrDamaged, p.key)
		}
		p.at = time.UnixMilli(int64(binary.BigEndian.Uint64(p.key[prefixLen:])))
		r, err := metaReader(it.Value())
		if err == nil {
			p.vector = ns.readNumbered(r)
			err = r.Done()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: checkpoint of %s: %w", ErrDamaged, p.at.UTC().Format(time.RFC3339), err)
		}
		points = append(points, p)
	}
	return points, readError(it.Error())
}

// Checkpoint takes note of what is on disk now, if the last note is older than
// every, and returns what was covered here at a time. It is nil
// if no note is that old, or the clock was never set. Notes that are older
// still are forgotten, and those that are ahead of the clock, which was set
// back since: what they tell of counts as coming now. Errors are those of
// Commit.
func (ns *Namespace) Checkpoint(every time.Duration, at time.Time) (*crdt.Past, error) {
	now := ns.store.options.Now()
	if now.Before(clockSet) {
		return nil, nil
	}
	if err := ns.store.use(); err != nil {
		return nil, err
	}
	defer ns.store.users.Done()
	v, err := ns.checkpoint(now, every, at)
	if err != nil {
		return nil, ns.named("make a checkpoint of", err)
	}
	return v, nil
}

func (ns *Namespace) checkpoint(now time.Time, every time.Duration, at time.Time) (found *crdt.Past, err error) {
	points, err := ns.checkpoints()
	if err != nil {
		return nil, err
	}
	var old [][]byte
	var oldest, last *checkpoint
	for i := range points {
		p := &points[i]
		switch {
		case p.at.After(now):
			old = append(old, p.key)
			continue
		case !p.at.After(at):
			if oldest != nil {
				old = append(old, oldest.key)
			}
			oldest = p
		}
		last = p
	}
	if oldest != nil {
		found = ns.Past(oldest.vector)
	}
	due := last == nil || now.Sub(last.at) >= every
	if !due && len(old) == 0 {
		return found, nil
	}
	if err := ns.store.engine.admit(); err != nil {
		return nil, err
	}
	return found, ns.alone(func(b *pebble.Batch) error {
		for _, key := range old {
			if err := b.Delete(key, nil); err != nil {
				return err
			}
		}
		if !due {
			return nil
		}
		v := appendNumbered([]byte{metaFormat}, ns.Durable().Normal(), ns.lineage.number)
		return b.Set(ns.pointKey(now), v, nil)
	})
}

// alone commits what changes nothing that can be read, unless the namespace is
// gone.
func (ns *Namespace) alone(fill func(*pebble.Batch) error) error {
	ns.commits.Lock()
	defer ns.commits.Unlock()
	b := ns.store.engine.DB.NewBatch()
	err := fill(b)
	if err == nil {
		err = ns.publish(false, b, func(*history) {})
		if err == nil {
			ns.store.users.Done()
		}
	}
	return errors.Join(err, b.Close())
}

// appendNumbered appends a vector, ordered by its writers' numbers.
func appendNumbered(dst []byte, v crdt.Vector, number func(crdt.WriterID) (uint32, bool)) []byte {
	byNumber := make(map[uint32]uint64, len(v))
	for w, seq := range v {
		n, ok := number(w)
		if !ok {
			panic(fmt.Sprintf("store: writer %s of a vector has no number", w))
		}
		byNumber[n] = seq
	}
	dst = crdt.AppendArray(dst, 2*len(byNumber))
	for _, n := range sortedKeys(byNumber) {
		dst = crdt.AppendUint(dst, uint64(n))
		dst = crdt.AppendUint(dst, byNumber[n])
	}
	return dst
}

// readNumbered reads what appendNumbered wrote.
func (ns *Namespace) readNumbered(r *crdt.Reader) crdt.Vector {
	n := r.Array(2 * crdt.MaxVectorEntries)
	if n%2 != 0 {
		r.Fail("a writer without its seq")
	}
	v := make(crdt.Vector, n/2)
	for range n / 2 {
		number, seq := r.Uint(), r.Uint()
		w, ok := ns.lineage.writer(number)
		if !ok && r.Err() == nil {
			r.Fail(fmt.Sprintf("writer %d has no record", number))
		}
		if r.Err() != nil {
			return nil
		}
		v[w] = seq
	}
	return v
}
