package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/store"
)

// diskRows are of the room that a store takes.
func diskRows() []Row {
	var rows []Row
	for _, overwrites := range []int{10_000, 100_000} {
		rows = append(rows, Row{
			Name: fmt.Sprintf("disk/overwrites/%d", overwrites),
			Work: fmt.Sprintf("tables after %d overwrites of 100 keys, collected and compacted", overwrites),
			Raw:  "the same of a Pebble with the 100 keys alone", Unit: "B", Goal: Goal{AtMost: 2},
			Prepare: func(l *Lab) (Repetition, error) {
				return func() (Pair, error) { return measureOverwrites(l, overwrites) }, nil
			},
		})
	}
	return append(rows, Row{
		Name: "disk/key", Work: "tables for each key, state and log, a transaction each",
		Raw: "a key of 16 bytes and a value of 100", Unit: "B", Goal: Goal{AtMost: 1.6},
		Prepare: prepareDiskKey,
	})
}

// measureOverwrites overwrites 100 keys again and again.
func measureOverwrites(l *Lab, overwrites int) (p Pair, err error) {
	dir, err := l.Dir()
	if err != nil {
		return p, err
	}
	const keys = 100
	for range 4 { // it is collected again and again
		err = withNamespace(dir, replica.Options{}, func(ns *replica.Namespace) error {
			return setAll(l.Context, ns, overwrites/4, keys)
		})
		if err := errors.Join(err, collectAll(l.Context, dir)); err != nil {
			return p, err
		}
	}
	ours := filepath.Join(dir, "data")
	bare, err := l.Dir()
	if err != nil {
		return p, err
	}
	raw, err := openRawIn(bare)
	if err != nil {
		return p, err
	}
	values := newValues()
	for i := range keys {
		if err := raw.Set(fmt.Appendf(nil, "%016d", i), values.next(), pebble.NoSync); err != nil {
			return p, err
		}
	}
	if err := raw.Close(); err != nil {
		return p, err
	}
	if p.Ours, err = compactedBytes(l.Context, ours); err == nil {
		p.Raw, err = compactedBytes(l.Context, bare)
	}
	return p, err
}

// withNamespace opens the database in dir for as long as use runs.
func withNamespace(dir string, o replica.Options, use func(*replica.Namespace) error) error {
	db, err := replica.Open(dir, o)
	if err != nil {
		return err
	}
	ns, err := db.Namespace(benchNamespace)
	if err == nil {
		err = use(ns)
	}
	return errors.Join(err, db.Close())
}

// setAll sets registers n times, one a transaction, going round so many keys
// in an order that is not theirs.
func setAll(ctx context.Context, ns *replica.Namespace, n, keys int) error {
	values := newValues()
	for i := range n {
		r := crdt.NewRegister[[]byte](fmt.Sprintf("%016d", i*61_803%keys))
		err := ns.UpdateWith(ctx, replica.UpdateOptions{Buffered: true}, func(tx *replica.Tx) error { return r.Set(tx, values.next()) })
		if err != nil {
			return err
		}
	}
	return nil
}

// values yields values that do not compress, each overwritten by the next. The
// same come again in each run.
type values struct {
	random *rand.ChaCha8
	value  []byte
}

func newValues() *values { return &values{random: rand.NewChaCha8([32]byte{})} }

func (v *values) next() []byte { return v.more(valueBytes) }

func (v *values) more(n int) []byte {
	v.value = slices.Grow(v.value[:0], n)[:n]
	v.random.Read(v.value)
	return v.value
}

// collectAll has what is superseded collected, as a database does by itself in
// time.
func collectAll(ctx context.Context, dir string) error {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	ns, err := s.Namespace(benchNamespace)
	if err == nil {
		_, err = ns.Collect(ctx, ns.Past(nil), 0)
	}
	return errors.Join(err, s.Close())
}

// compactedBytes compacts the Pebble in dir, and returns what its tables take.
func compactedBytes(ctx context.Context, dir string) (float64, error) {
	return settledBytes(dir, func(db *pebble.DB) error { return db.Compact(ctx, []byte{0}, []byte{0xff}, false) })
}

// settledBytes opens the Pebble in dir for what settles it, and returns what its
// tables take then.
func settledBytes(dir string, settle func(*pebble.DB) error) (float64, error) {
	db, err := openRawIn(dir)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(settle(db), db.Close()); err != nil {
		return 0, err
	}
	return tableBytes(dir)
}

// tableBytes sums up the tables below dir.
func tableBytes(dir string) (sum float64, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".sst") {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += float64(info.Size())
		}
		return err
	})
	return sum, err
}

// prepareDiskKey fills a store once: what is written is the same in each
// repetition.
func prepareDiskKey(l *Lab) (Repetition, error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	err = withNamespace(dir, replica.Options{}, func(ns *replica.Namespace) error {
		return setAll(l.Context, ns, l.Keys, l.Keys)
	})
	if err != nil {
		return nil, err
	}
	bytes, err := settledBytes(filepath.Join(dir, "data"), (*pebble.DB).Flush) // nobody compacts by hand
	if err != nil {
		return nil, err
	}
	pair := Pair{Ours: bytes / float64(l.Keys), Raw: keyBytes + valueBytes}
	return func() (Pair, error) { return pair, nil }, nil
}
