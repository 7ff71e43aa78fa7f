package store

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// waited carries over what waits in a damaged store itself, of a repair before
// that has not ended. It joins what was salvaged of the damaged store's records,
// which waits by now: of two records at a key, that one had seen the events that
// its vector covers, as ever in a join.
//
// Writers keep their numbers if what was salvaged names them too. The others get
// new ones, behind all that are taken.
type waited struct {
	*pendingFiller
	now    *salvaged                // what was salvaged
	table  map[uint64]crdt.WriterID // by the numbers here
	behind uint64                   // what a number is raised by
	old    recordReader
}

// beginWaited begins to read what waits for a namespace. All that was salvaged
// of its records was put.
func (p *pendingFiller) beginWaited() (*waited, error) {
	if err := p.flush(); err != nil {
		return nil, err
	}
	now, err := p.ns.loadPending()
	if err != nil {
		return nil, err
	}
	w := &waited{pendingFiller: p, now: now, table: map[uint64]crdt.WriterID{}, behind: p.most + 1}
	w.old.writers = func(n uint64) (crdt.WriterID, bool) {
		if id, known := w.table[n]; known {
			return id, true
		}
		return namedWriter(w.behind + n)
	}
	return w, nil
}

func (w *waited) part(key, value []byte) error {
	n, indexed := splitIndexed(key)
	switch part := key[prefixLen-1]; {
	case part == pendingWriter && indexed:
		return w.writer(uint64(n), value)
	case part == pendingVector && indexed:
		return w.vector(uint64(n), value)
	case part == pendingRecord:
		return w.record(crdt.Key(key[prefixLen:]), value)
	}
	return nil
}

func (w *waited) writer(n uint64, value []byte) error {
	rec, err := readWriterRecord(value)
	if err != nil || rec.Verify() != nil || rec.Namespace != w.ns.name || w.behind+n > maxNumber {
		return nil
	}
	w.table[n] = rec.Writer
	if _, known := w.now.numbers[rec.Writer]; known {
		return nil
	}
	w.now.numbers[rec.Writer] = w.behind + n
	return w.batch.Set(makePrefix(spacePending, w.ns.number, pendingWriter).indexed(nil, uint32(w.behind+n)), value, nil)
}

func (w *waited) vector(n uint64, value []byte) error {
	seq, err := readNumber(value, 1<<64-1)
	id, known := w.table[n]
	if err != nil || !known || seq <= w.now.past.Seq(id) {
		return nil
	}
	at := makePrefix(spacePending, w.ns.number, pendingVector).indexed(nil, uint32(w.now.number(id)))
	return w.batch.Set(at, value, nil)
}

func (w *waited) record(k crdt.Key, value []byte) error {
	old, err := w.old.decode(value)
	if err != nil || k.Validate() != nil {
		w.done.Lost++
		return nil
	}
	at := w.now.records.record(nil, k)
	now, err := w.salvagedAt(k, at)
	if err != nil {
		return err
	}
	both := old
	if len(now) == 0 {
		w.done.Records++
	} else if both = crdt.Join(now, w.now.past, old, crdt.Vector{}); len(both) > crdt.MaxSiblings {
		w.done.Lost++
		return nil
	}
	for i := range old {
		if isLost(old[i].Writer) {
			w.done.Unnamed++
		}
	}
	return w.batch.Set(at, appendRecord(nil, both, w.now.number), nil)
}

// salvagedAt returns the record that was salvaged of a key; nil if none was.
func (w *waited) salvagedAt(k crdt.Key, at []byte) (crdt.Record, error) {
	value, closer, err := w.store.engine.DB.Get(at)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, readError(err)
	}
	defer closer.Close()
	return w.now.reader.read([]byte(k), value)
}
