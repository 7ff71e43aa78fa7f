package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// A log entry holds the keys that one transaction touched: here the records
// are found that changed between two vectors. It is live while some record
// still holds an event of the transaction; stale ones are skipped by whoever
// reads the log. An entry's value, and that of each further part:
//
//	+----+---------------------------+
//	| 01 | array of keys             |
//	+----+---------------------------+
//	  format
//
// A part holds up to logPartBytes of keys. The first part has no number in
// its key, so that a small transaction's entry is small.
const logFormat = 1

// logEntry builds the parts of one transaction's entry.
type logEntry struct {
	key  []byte // of the part
	body []byte // the keys so far, encoded
	keys int
	part uint16
	buf  []byte
}

// start begins the entry of a transaction.
func (l *logEntry) start(p prefix, writer uint32, seq uint64) {
	l.key = p.logged(l.key[:0], writer, seq)
	l.body, l.keys, l.part = l.body[:0], 0, 0
}

// add takes a key, and puts out the part before it if that is full.
func (l *logEntry) add(k crdt.Key, put putter) error {
	if l.keys > 0 && len(l.body)+len(k) > logPartBytes {
		if err := l.finish(put); err != nil {
			return err
		}
		l.part++
		l.body, l.keys = l.body[:0], 0
		l.key = append(l.key[:logKeyLen], byte(l.part>>8), byte(l.part))
	}
	l.body = crdt.AppendBytes(l.body, []byte(k))
	l.keys++
	return nil
}

// finish puts out the last part.
func (l *logEntry) finish(put putter) error {
	l.buf = crdt.AppendArray(append(l.buf[:0], logFormat), l.keys)
	l.buf = append(l.buf, l.body...)
	return put(l.key, l.buf)
}

// readLogKeys yields the keys in a log entry's value; they alias it.
func readLogKeys(value []byte, yield func(key []byte) bool) error {
	if len(value) == 0 || value[0] != logFormat {
		return errFormat(value)
	}
	r := crdt.NewReader(value[1:])
	for n := r.Array(maxLogKeys); n > 0 && r.Err() == nil; n-- {
		if k := r.Bytes(crdt.MaxKeyBytes); r.Err() == nil && !yield(k) {
			return nil
		}
	}
	return r.Done()
}

// stretch is an interval of one writer's transactions: above after, up to and
// including last.
type stretch struct {
	writer      uint32
	after, last uint64
}

// scanLog yields the keys of the log entries in the stretches, in the order
// of the log's keys if the stretches are. Errors of decoding wrap ErrDamaged.
func scanLog(r pebble.Reader, p prefix, stretches []stretch, yield func(writer uint32, seq uint64, key []byte) bool) error {
	if len(stretches) == 0 {
		return nil
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: p[:], UpperBound: p.end()})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	var seek []byte
	for _, s := range stretches {
		seek = p.logged(seek[:0], s.writer, s.after+1)
		for ok := it.SeekGE(seek); ok; ok = it.Next() {
			w, seq, known := splitLogged(it.Key())
			if !known {
				return fmt.Errorf("%w: log key %x", ErrDamaged, it.Key())
			}
			if w != s.writer || seq > s.last {
				break
			}
			more := true
			err := readLogKeys(it.Value(), func(key []byte) bool {
				more = yield(w, seq, key)
				return more
			})
			if err != nil {
				return fmt.Errorf("%w: log entry %d of writer %d: %w", ErrDamaged, seq, w, err)
			}
			if !more {
				return nil
			}
		}
	}
	return readError(it.Error())
}

// logTail returns the last sequence number in the log of a writer, or 0.
func logTail(r pebble.Reader, p prefix, writer uint32) (uint64, error) {
	it, err := r.NewIter(&pebble.IterOptions{
		LowerBound: p.indexed(nil, writer), UpperBound: p.logged(nil, writer, 1<<64-1),
	})
	if err != nil {
		return 0, readError(err)
	}
	defer it.Close()
	if !it.Last() {
		return 0, readError(it.Error())
	}
	_, seq, ok := splitLogged(it.Key())
	if !ok {
		return 0, fmt.Errorf("%w: log key %x", ErrDamaged, it.Key())
	}
	return seq, nil
}
