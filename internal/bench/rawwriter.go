package bench

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// rawWriter commits batches to a bare Pebble that are those of ours byte for byte
// in size, with keys in the same order: a record, and a log entry that grows and
// is before all records. The keys are in a table, as a program has its handles.
// Safe for concurrent use.
type rawWriter struct {
	db     *pebble.DB
	keys   [][]byte
	sizes  batchSizes
	value  [valueBytes + eventBytes + 2]byte
	number atomic.Uint64
}

// batchSizes are of what a batch has beside the two keys' prefixes.
type batchSizes struct {
	sub           string // what a record's key has behind its path
	value, logged int    // bytes of the record's value, and of the log entry's
}

var (
	// registerSizes are of a register with a value of valueBytes, counterSizes of a
	// counter in a store of some 100,000 transactions.
	registerSizes = batchSizes{sub: "\x00\x00r", value: valueBytes + eventBytes + 2, logged: keyBytes + 7}
	counterSizes  = batchSizes{sub: "\x00\x00cs0123456789abcdef", value: 28, logged: keyBytes + 24}
)

// newRawWriter opens one that writes so many keys.
func newRawWriter(l *Lab, keys int, sizes batchSizes) (*rawWriter, error) {
	db, err := openRaw(l)
	if err != nil {
		return nil, err
	}
	w := &rawWriter{db: db, keys: make([][]byte, keys), sizes: sizes}
	for i := range w.keys {
		w.keys[i] = fmt.Appendf(nil, "\x05\x00\x00\x00\x01\x05%016d%s", i, sizes.sub)
	}
	return w, nil
}

// put commits one batch.
func (w *rawWriter) put(key uint64, mode *pebble.WriteOptions) error {
	b := w.db.NewBatch()
	defer b.Close()
	log := [18]byte{5, 0, 0, 0, 1, 4, 0, 0, 0, 1}
	binary.BigEndian.PutUint64(log[10:], w.number.Add(1))
	if err := b.Set(w.keys[key], w.value[:w.sizes.value], nil); err != nil {
		return err
	}
	if err := b.Set(log[:], w.value[:w.sizes.logged], nil); err != nil {
		return err
	}
	return b.Commit(mode)
}

// rawPut commits a batch of a record and a log entry of about the sizes that ours
// have, whose keys are made as they come.
func rawPut(db *pebble.DB, key, seq uint64, mode *pebble.WriteOptions) error {
	b := db.NewBatch()
	defer b.Close()
	var k, log [keyBytes + 2]byte
	var value [valueBytes + 20]byte
	binary.BigEndian.PutUint64(k[:], key)
	log[0] = 1
	binary.BigEndian.PutUint64(log[10:], seq)
	if err := b.Set(k[:], value[:], nil); err != nil {
		return err
	}
	if err := b.Set(log[:], value[:24], nil); err != nil {
		return err
	}
	return b.Commit(mode)
}
