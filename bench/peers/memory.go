package main

import (
	"fmt"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// newMemory returns an empty replica in memory.
func newMemory(node byte) *crdt.Replica {
	return crdt.NewReplica(crdt.NodeID{node}, crdt.WriterID{node})
}

func fillMemory(r *crdt.Replica, round int) error {
	all := registers(keyCount)
	for from := 0; from < keyCount; from += keysAtOnce {
		err := r.Update(int64(1+from), func(tx crdt.Tx) error {
			for i := from; i < from+keysAtOnce; i++ {
				if err := all[i].Set(tx, value(i+round*keyCount)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func memoryWrite() (float64, error) {
	start := time.Now()
	err := fillMemory(newMemory(1), 0)
	return keyCount / time.Since(start).Seconds(), err
}

// saved returns a replica as a delta that brings all of it.
func saved(r *crdt.Replica) []byte { return crdt.AppendDelta(nil, r.Delta(nil)) }

func memorySize(*lab) (float64, error) {
	r := newMemory(1)
	err := fillMemory(r, 0)
	return float64(len(saved(r))), err
}

func memoryBytes(l *lab) (float64, error) {
	n, err := memorySize(l)
	return n / keyCount, err
}

func memoryOverwrites(*lab) (float64, error) {
	r, all := newMemory(1), registers(rewritten)
	for i := range overwrites {
		v := value(i)
		if err := r.Update(int64(1+i), func(tx crdt.Tx) error { return all[i%rewritten].Set(tx, v) }); err != nil {
			return 0, err
		}
	}
	return float64(len(saved(r))), nil
}

// takeDelta reads a delta and merges it.
func takeDelta(r *crdt.Replica, b []byte) error {
	d, err := crdt.ReadDelta(b)
	if err != nil {
		return err
	}
	return r.Merge(d)
}

func memoryLoad(*lab) (float64, error) {
	from := newMemory(1)
	if err := fillMemory(from, 0); err != nil {
		return 0, err
	}
	b := saved(from)
	start := time.Now()
	r := newMemory(2)
	if err := takeDelta(r, b); err != nil {
		return 0, err
	}
	_, err := crdt.NewRegister[[]byte](key(keyCount / 2)).Get(r.View())
	return float64(time.Since(start).Microseconds()) / 1000, err
}

func memoryCatchUp(*lab) (float64, error) { return memoryTake(newMemory(2)) }

func memoryMerge(*lab) (float64, error) {
	r := newMemory(2)
	if err := fillMemory(r, 1); err != nil {
		return 0, err
	}
	return memoryTake(r)
}

// memoryTake has a replica take the document of another: encoded, decoded and
// merged.
func memoryTake(r *crdt.Replica) (float64, error) {
	from := newMemory(1)
	if err := fillMemory(from, 0); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := takeDelta(r, saved(from)); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if !r.Vector().CoversAll(from.Vector()) {
		return 0, fmt.Errorf("not all was merged")
	}
	return keyCount / took.Seconds(), nil
}

func memoryCounter(size bool) (float64, error) {
	r, c := newMemory(1), crdt.NewCounter("count")
	start := time.Now()
	for i := range increments {
		if err := r.Update(int64(1+i), func(tx crdt.Tx) error { return c.Add(tx, 1) }); err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	got, err := c.Get(r.View())
	switch {
	case err != nil || got != increments:
		return 0, fmt.Errorf("the counter is %d: %w", got, err)
	case size:
		return float64(len(saved(r))), nil
	}
	return increments / took.Seconds(), nil
}
