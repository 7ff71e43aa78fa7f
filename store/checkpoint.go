package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// A checkpoint is the vector of what was here at some age of the namespace: it
// tells how long a removal has been here, whatever its timestamp says.
//
//	key    07 age, in milliseconds
//	value  01 wall array of writer number and seq in turn, in normal form
//
// The age counts how long stores with the namespace were open, by a clock that
// nobody sets, and whatever passed between two checkpoints that both have a
// wall: the wall clock, in milliseconds since 1970, where it was known to be
// right; else 0. So a clock that jumps by ten years, ahead or back, ages
// nothing, and what is off for long ages all the same.

// Moment is when a checkpoint is made.
type Moment struct {
	// Run is how long the store has been open, by a clock that nobody sets.
	Run time.Duration
	// Wall is the wall clock, if it is known to be right; else zero.
	Wall time.Time
}

// wall returns it in milliseconds since 1970, or 0.
func (m Moment) wall() int64 {
	if m.Wall.IsZero() {
		return 0
	}
	return max(m.Wall.UnixMilli(), 0)
}

// pointKey returns the key of a checkpoint.
func (ns *Namespace) pointKey(age int64) []byte {
	return binary.BigEndian.AppendUint64(ns.points[:], uint64(age))
}

// checkpoint is one that was read.
type checkpoint struct {
	key    []byte
	age    int64
	wall   int64
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
		p.age = int64(binary.BigEndian.Uint64(p.key[prefixLen:]))
		r, err := metaReader(it.Value())
		if err == nil {
			p.wall = int64(r.Uint())
			p.vector = ns.readNumbered(r)
			err = r.Done()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: checkpoint of age %d: %w", ErrDamaged, p.age, err)
		}
		points = append(points, p)
	}
	return points, readError(it.Error())
}

// Checkpoint takes note of what is on disk now, if the last note is older than
// every, and returns what has been covered here for a while, nil if no note is
// that old. Notes that are older still are forgotten. Errors are those of
// Commit.
func (ns *Namespace) Checkpoint(now Moment, every, ago time.Duration) (*crdt.Past, error) {
	if err := ns.store.use(); err != nil {
		return nil, err
	}
	defer ns.store.users.Done()
	ns.collecting.Lock()
	defer ns.collecting.Unlock()
	v, err := ns.checkpoint(now, every.Milliseconds(), ago.Milliseconds())
	if err != nil {
		return nil, ns.named("make a checkpoint of", err)
	}
	return v, nil
}

// noted is what a run knows of the last checkpoint that it made.
type noted struct {
	age int64
	run time.Duration
}

// age returns the namespace's age, given the last checkpoint.
func (ns *Namespace) age(now Moment, last checkpoint) int64 {
	ran := now.Run
	if ns.noted.age == last.age {
		ran -= ns.noted.run
	}
	passed := max(ran.Milliseconds(), 0)
	if wall := now.wall(); wall != 0 && last.wall != 0 {
		passed = max(passed, wall-last.wall)
	}
	return last.age + passed
}

func (ns *Namespace) checkpoint(now Moment, every, ago int64) (found *crdt.Past, err error) {
	points, err := ns.checkpoints()
	if err != nil {
		return nil, err
	}
	var last checkpoint
	if len(points) > 0 {
		last = points[len(points)-1]
	}
	age := ns.age(now, last)
	var old [][]byte
	var oldest *checkpoint
	for i := range points {
		if p := &points[i]; p.age <= age-ago {
			if oldest != nil {
				old = append(old, oldest.key)
			}
			oldest = p
		}
	}
	if oldest != nil {
		found = ns.Past(oldest.vector)
	}
	due := len(points) == 0 || age-last.age >= every
	if !due && len(old) == 0 {
		return found, nil
	}
	if err := ns.store.engine.admit(); err != nil {
		return nil, err
	}
	err = ns.alone(func(b *pebble.Batch) error {
		for _, key := range old {
			if err := b.Delete(key, nil); err != nil {
				return err
			}
		}
		if !due {
			return nil
		}
		v := crdt.AppendUint([]byte{metaFormat}, uint64(now.wall()))
		v = appendNumbered(v, ns.Durable().Normal(), ns.lineage.number)
		return b.Set(ns.pointKey(age), v, nil)
	})
	if err == nil && due {
		ns.noted = noted{age, now.Run}
	}
	return found, err
}

// alone commits what changes nothing that can be read, unless the namespace is
// gone.
func (ns *Namespace) alone(fill func(*pebble.Batch) error) error {
	ns.commits.Lock()
	defer ns.commits.Unlock()
	b := ns.store.engine.DB.NewBatch()
	err := fill(b)
	if err == nil {
		err = ns.publish(false, b, writes{}, func(*history) {})
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

// readNumbered reads what appendNumbered wrote. Its length is bounded by that of
// the value: a namespace may come to have more branches than one message names.
func (ns *Namespace) readNumbered(r *crdt.Reader) crdt.Vector {
	n := r.Array(math.MaxInt32)
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
