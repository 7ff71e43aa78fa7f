package bench

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// checkpointRows are of a copy at one moment, on the same disk.
func checkpointRows() []Row {
	return []Row{{
		Name: "checkpoint", Work: "a checkpoint of a full store is made", Raw: "a checkpoint of a Pebble with the same keys",
		Unit: "ms", Goal: Goal{AtMost: 2}, Prepare: prepareCheckpoint,
	}}
}

func prepareCheckpoint(l *Lab) (Repetition, error) {
	db, err := openFullDB(l)
	if err != nil {
		return nil, err
	}
	raw, err := openFullRaw(l)
	if err != nil {
		return nil, err
	}
	makers := [2]func(dir string) error{
		db.Checkpoint,
		func(dir string) error { return raw.Checkpoint(dir, pebble.WithFlushedWAL()) },
	}
	return func() (p Pair, err error) {
		var spent [2]time.Duration
		const each = 8
		for n := range each {
			for i := range makers {
				side := (n + i) % 2
				took, err := timeCheckpoint(l, makers[side])
				if err != nil {
					return p, err
				}
				spent[side] += took / each
			}
		}
		return Pair{Ours: milliseconds(spent[0]), Raw: milliseconds(spent[1])}, nil
	}, nil
}

// timeCheckpoint makes one, and removes it.
func timeCheckpoint(l *Lab, checkpoint func(dir string) error) (time.Duration, error) {
	parent, err := l.Dir()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	err = checkpoint(filepath.Join(parent, "checkpoint"))
	return time.Since(start), errors.Join(err, os.RemoveAll(parent))
}
