package store

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// What a repair could read of a damaged namespace, and what waits in the new
// one to be compared with what peers have, is in a space of its own, as the
// damaged one had it: records with its numbers of writers, the records of
// these writers, and its vector, or an older one.
const (
	pendingWriter = 0x01 // number -> writer record
	pendingVector = 0x02 // number -> seq
	pendingRecord = 0x03 // key    -> record
)

// pendingRange returns the range of all that waits for a namespace.
func pendingRange(number uint32) (lower, upper []byte) {
	from, to := makePrefix(spacePending, number, 0), makePrefix(spacePending, number, 0xff)
	return from[:], to[:]
}

// pendingFiller takes the newest version of each key from scratch, and puts
// what is of use where it belongs in the new store.
type pendingFiller struct {
	*salvage
	catalog map[uint32]string // of the damaged store
	names   map[string]bool   // the same, the other way round

	old     uint32          // the namespace that is being read
	ns      *Namespace      // what it is in the new store; nil: it was dropped
	writers map[uint64]bool // the numbers of those whose records were read
	reader  recordReader
}

func (p *pendingFiller) run() error {
	p.catalog, p.names = map[uint32]string{}, map[string]bool{}
	it, err := p.store.engine.DB.NewIter(&pebble.IterOptions{
		LowerBound: []byte{spaceScratch}, UpperBound: []byte{spaceScratch + 1},
	})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	p.batch = p.store.engine.DB.NewBatch()
	defer p.batch.Close()
	p.reader.writers = namedWriter
	var key, last []byte
	for ok := it.First(); ok; ok = it.Next() {
		key, _ = appendOpened(key[:0], it.Key()[1:])
		if bytes.Equal(key, last) && last != nil {
			continue // an older version
		}
		last = append(last[:0], key...)
		if value := it.Value(); value[0] == 1 {
			if err := p.take(key, value[1:]); err != nil {
				return err
			}
		}
		if p.batch.Len() >= scratchBatch {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(readError(it.Error()), p.flush())
}

// take takes the newest version of a key. What makes no sense is passed over.
func (p *pendingFiller) take(key, value []byte) error {
	switch {
	case key[0] == spaceCatalog:
		if n, err := readNumber(value, maxNumber); err == nil && CheckName(string(key[1:])) == nil {
			p.catalog[uint32(n)] = string(key[1:])
			p.names[string(key[1:])] = true
		}
	case key[0] == spaceLocal:
		return p.batch.Set(key, value, nil)
	case key[0] == spaceNamespace && len(key) >= prefixLen:
		return p.part(key, value)
	}
	return nil
}

// part takes a key of a namespace. Writers come before all that names them.
func (p *pendingFiller) part(key, value []byte) error {
	if n := binary.BigEndian.Uint32(key[1:]); n != p.old || p.writers == nil {
		p.old, p.ns, p.writers = n, nil, map[uint64]bool{}
		if name := p.catalog[n]; name != "" {
			if err := p.begin(name); err != nil {
				return err
			}
		}
	}
	n, indexed := splitIndexed(key)
	switch part := key[prefixLen-1]; {
	case part == partWriter && indexed:
		return p.writer(n, value)
	case p.ns == nil:
	case part == partVector && indexed:
		if p.writers[uint64(n)] {
			return p.batch.Set(makePrefix(spacePending, p.ns.number, pendingVector).indexed(nil, n), value, nil)
		}
	case part == partRecord:
		return p.record(crdt.Key(key[prefixLen:]), value)
	}
	return nil
}

// begin makes the namespace.
func (p *pendingFiller) begin(name string) (err error) {
	if p.ns, err = p.store.Create(name); err == nil {
		p.done.Namespaces = append(p.done.Namespaces, name)
	}
	return err
}

// writer takes a writer record. It tells the namespace's name, where the
// catalog cannot be read: one of a name that the catalog has was dropped.
func (p *pendingFiller) writer(n uint32, value []byte) error {
	rec, err := readWriterRecord(value)
	if err != nil || rec.Verify() != nil {
		return nil
	}
	if p.ns == nil {
		if p.names[rec.Namespace] || CheckName(rec.Namespace) != nil {
			return nil
		}
		p.names[rec.Namespace] = true
		if err := p.begin(rec.Namespace); err != nil {
			return err
		}
	}
	if rec.Namespace != p.ns.name {
		return nil
	}
	p.writers[uint64(n)] = true
	return p.batch.Set(makePrefix(spacePending, p.ns.number, pendingWriter).indexed(nil, n), value, nil)
}

func (p *pendingFiller) record(k crdt.Key, value []byte) error {
	if _, err := p.reader.decode(value); err != nil || k.Validate() != nil {
		p.done.Lost++
		return nil
	}
	p.done.Records++
	return p.batch.Set(makePrefix(spacePending, p.ns.number, pendingRecord).record(nil, k), value, nil)
}

// Pending reports whether records of the store that this one was repaired from
// wait for Reissue.
func (ns *Namespace) Pending() (bool, error) {
	if err := ns.store.use(); err != nil {
		return false, err
	}
	defer ns.store.users.Done()
	lower, upper := pendingRange(ns.number)
	it, err := ns.store.engine.DB.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return false, ns.named("read", readError(err))
	}
	some := it.First()
	return some, errors.Join(readError(it.Error()), it.Close())
}

// Refilled reports whether the namespace covers all that the store which it was
// repaired from had of other nodes, as far as that can be read. What does not
// reach so far is older than what the damaged store had: nobody can tell by it
// what is still to be written again. Errors are those of Pending.
func (ns *Namespace) Refilled() (bool, error) {
	p, err := ns.loadPending()
	if err != nil {
		return false, ns.named("read", err)
	}
	own := ns.Past(ns.Vector())
	for _, w := range p.others {
		if !own.Covers(crdt.Dot{Writer: w, Seq: p.past.Seq(w)}) {
			return false, nil
		}
	}
	return true, nil
}

// lostWriter stands for a writer of whom only the number is known: its record
// could not be read. It ends in that, behind what no random id begins with.
func lostWriter(n uint64) (w crdt.WriterID) {
	for i := range w {
		w[i] = 0xff
	}
	binary.BigEndian.PutUint32(w[len(w)-4:], uint32(n))
	return w
}

// namedWriter is of a recordReader that only looks whether a record can be
// read.
func namedWriter(n uint64) (crdt.WriterID, bool) { return lostWriter(n), n <= maxNumber }

// isLost reports whether w is from lostWriter.
func isLost(w crdt.WriterID) bool {
	return w == lostWriter(uint64(binary.BigEndian.Uint32(w[len(w)-4:])))
}
