package main

import (
	"encoding/binary"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/plot"
)

const writersMeans = `A replica in memory (crdt.Replica) whose namespace so many nodes have written. A commit
is one set; a merge takes a delta with one set of one of the others. The vector is what
is told to a peer that was never met, or of whom too much changed; Hello carries 16
bytes for a namespace however long that is (below, of the fleet).

What it means: the vector takes 19 bytes for each node that ever wrote, and up to 27
once it has written often, whatever its restarts. A commit does not depend on it. A
merge does: a delta of package crdt carries the whole vector, and the replica in memory
joins it entry by entry. Between linked peers the protocol sends what changed of it.`

func writersPart(o *options) (section, error) {
	s := section{name: "writers", title: "Writers in the version vector", means: writersMeans,
		head: []string{"writers", "vector, B", "commit, op/s", "merge of one set, op/s"}}
	bytes := plot.Lines{Title: "What a vector takes", X: "writers", Y: "B"}
	rates := plot.Lines{Title: "Operations a second, in memory", X: "writers", Y: "op/s"}
	for n := 4; n <= 4096; n *= 4 {
		v, commits, merges, err := measureWriters(n)
		if err != nil {
			return s, err
		}
		o.progress("%d writers: %d B, %.0f commits/s, %.0f merges/s", n, v, commits, merges)
		s.row(figure(n), figure(v), figure(commits), figure(merges))
		add(&bytes, "vector", float64(n), float64(v))
		add(&rates, "commit", float64(n), commits)
		add(&rates, "merge of one set", float64(n), merges)
	}
	s.plots = []plot.Lines{bytes, rates}
	return s, nil
}

// replicaOf returns an empty replica of a node of its own.
func replicaOf(n int) *crdt.Replica {
	var node crdt.NodeID
	var writer crdt.WriterID
	binary.BigEndian.PutUint64(node[:], uint64(n+1)*0x9e3779b97f4a7c15)
	copy(writer[:], node[:8])
	return crdt.NewReplica(node, writer)
}

// put sets a key of a replica.
func put(r *crdt.Replica, key int, at int64) error {
	v := make([]byte, valueBytes)
	return r.Update(at, func(tx crdt.Tx) error { return register(key).Set(tx, v) })
}

func measureWriters(n int) (vector int, commits, merges float64, err error) {
	all := replicaOf(0)
	if err := put(all, 0, 1); err != nil {
		return 0, 0, 0, err
	}
	for i := 1; i < n; i++ {
		one := replicaOf(i)
		if err := put(one, i, 1); err != nil {
			return 0, 0, 0, err
		}
		if err := all.Merge(one.Delta(nil)); err != nil {
			return 0, 0, 0, err
		}
	}
	vector = len(crdt.AppendVector(nil, all.Lineage().Normalize(all.Vector())))
	peer := replicaOf(n)
	if err := peer.Merge(all.Delta(nil)); err != nil {
		return 0, 0, 0, err
	}
	at := int64(1)
	if commits, err = perSecond(5000, func() error { at++; return put(all, 0, at) }); err != nil {
		return 0, 0, 0, err
	}
	var deltas []crdt.Delta
	for range 200 {
		since := all.Vector()
		at++
		if err := put(all, 0, at); err != nil {
			return 0, 0, 0, err
		}
		deltas = append(deltas, all.Delta(since))
	}
	// The peer has none of the commits that were timed: it takes them first.
	if err := peer.Merge(all.Delta(peer.Vector())); err != nil {
		return 0, 0, 0, err
	}
	behind := replicaOf(n + 1)
	if err := behind.Merge(crdt.Delta{To: deltas[0].From, Writers: all.Delta(nil).Writers, Entries: peer.Delta(nil).Entries[:0]}); err != nil {
		return 0, 0, 0, fmt.Errorf("a replica at the first delta: %w", err)
	}
	i := 0
	merges, err = perSecond(len(deltas), func() error { i++; return behind.Merge(deltas[i-1]) })
	return vector, commits, merges, err
}
