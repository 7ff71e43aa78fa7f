package store

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// pendingFiller takes the newest version of each key from scratch, and puts
// what is of use where it belongs in the new store.
type pendingFiller struct {
	*salvage
	it         *pebble.Iterator      // of scratch
	namespaces map[uint32]*Namespace // in the new store, by the damaged store's numbers

	at      []byte          // the space and number that are being read
	ns      *Namespace      // what that is in the new store; nil: it was dropped
	writers map[uint64]bool // the numbers of those whose records were read
	waited  *waited         // of a namespace of which something waited
	reader  recordReader
	most    uint64 // the greatest number of a writer, of all namespaces
}

func (p *pendingFiller) run() (err error) {
	p.it, err = p.store.engine.DB.NewIter(&pebble.IterOptions{
		LowerBound: []byte{spaceScratch}, UpperBound: []byte{spaceScratch + 1},
	})
	if err != nil {
		return readError(err)
	}
	defer p.it.Close()
	p.batch = p.store.engine.DB.NewBatch()
	defer p.batch.Close()
	p.reader.writers = func(n uint64) (crdt.WriterID, bool) {
		w, ok := namedWriter(n)
		if ok {
			p.most = max(p.most, n)
		}
		return w, ok
	}
	if err := p.create(); err != nil {
		return err
	}
	err = p.each([]byte{spaceLocal}, []byte{spacePending + 1}, func(key, value []byte) error {
		if err := p.take(key, value); err != nil || p.batch.Len() < scratchBatch {
			return err
		}
		return p.flush()
	})
	return errors.Join(err, p.flush())
}

// seek moves to the first version of the first key from on.
func (p *pendingFiller) seek(from []byte) bool {
	at := appendClosed([]byte{spaceScratch}, from)
	return p.it.SeekGE(at[:len(at)-2])
}

// each yields the newest versions of the keys in a range that were not deleted.
func (p *pendingFiller) each(from, to []byte, yield func(key, value []byte) error) error {
	var key, last []byte
	for ok := p.seek(from); ok; ok = p.it.Next() {
		key, _ = appendOpened(key[:0], p.it.Key()[1:])
		if bytes.Compare(key, to) >= 0 {
			break
		}
		if bytes.Equal(key, last) {
			continue // an older version
		}
		last = append(last[:0], key...)
		if value := p.it.Value(); value[0] == 1 {
			if err := yield(key, value[1:]); err != nil {
				return err
			}
		}
	}
	return readError(p.it.Error())
}

// create makes the namespaces: those of the catalog, be there anything to read
// of them or not, and those that only records of writers name. An older version
// of the catalog may be what was read: it names what was dropped.
func (p *pendingFiller) create() error {
	numbers := map[string]uint32{}
	err := p.each([]byte{spaceCatalog}, []byte{spaceCatalog + 1}, func(key, value []byte) error {
		n, err := readNumber(value, maxNumber)
		if name := string(key[1:]); err == nil && CheckName(name) == nil && !p.dropped[uint32(n)] {
			numbers[name] = uint32(n)
		}
		return nil
	})
	if err = errors.Join(err, p.findNames(numbers), p.passNumbers(numbers)); err != nil {
		return err
	}
	p.namespaces = make(map[uint32]*Namespace, len(numbers))
	for _, name := range sortedKeys(numbers) {
		if p.namespaces[numbers[name]], err = p.store.Create(name); err != nil {
			return err
		}
		p.done.Namespaces = append(p.done.Namespaces, name)
	}
	return nil
}

// passNumbers has the new store give out numbers behind those that the damaged
// one did.
func (p *pendingFiller) passNumbers(numbers map[string]uint32) error {
	var last uint64
	err := p.each([]byte{spaceNumber}, []byte{spaceNumber + 1}, func(_, value []byte) error {
		if n, err := readNumber(value, maxNumber); err == nil {
			last = n
		}
		return nil
	})
	for _, n := range numbers {
		last = max(last, uint64(n))
	}
	for n := range p.dropped {
		last = max(last, uint64(n))
	}
	if err != nil {
		return err
	}
	return p.store.commit(p.store.engine.apply, func(b *pebble.Batch) error {
		return b.Set([]byte{spaceNumber}, appendNumber(nil, last), nil)
	})
}

// findNames adds the namespaces that the catalog does not name: a part of it
// may be what is damaged. Of two of one name the later has the greater number;
// the other was dropped.
func (p *pendingFiller) findNames(numbers map[string]uint32) error {
	known, found := map[uint32]bool{}, map[string]uint32{}
	for _, n := range numbers {
		known[n] = true
	}
	for _, space := range []byte{spaceNamespace, spacePending} {
		for n, more := p.nextNumber(space, 0); more && n < maxNumber; n, more = p.nextNumber(space, n+1) {
			if known[n] || p.dropped[n] {
				continue
			}
			name, err := p.nameOf(space, n)
			if err != nil {
				return err
			}
			if name != "" {
				found[name] = max(n, found[name])
			}
		}
	}
	for name, n := range found {
		if _, known := numbers[name]; !known {
			numbers[name] = n
		}
	}
	return nil
}

// nextNumber returns the first number from n on that a space has.
func (p *pendingFiller) nextNumber(space byte, n uint32) (uint32, bool) {
	from := makePrefix(space, n, 0)
	if !p.seek(from[:prefixLen-1]) {
		return 0, false
	}
	key, _ := appendOpened(nil, p.it.Key()[1:])
	if key[0] != space || len(key) < prefixLen {
		return 0, false
	}
	return binary.BigEndian.Uint32(key[1:]), true
}

// nameOf returns the name that the writers of a namespace have signed, or "".
func (p *pendingFiller) nameOf(space byte, n uint32) (name string, err error) {
	from := makePrefix(space, n, partWriter) // pendingWriter is the same
	return name, p.each(from[:], from.end(), func(_, value []byte) error {
		if name == "" {
			if rec, err := readWriterRecord(value); err == nil && rec.Verify() == nil && CheckName(rec.Namespace) == nil {
				name = rec.Namespace
			}
		}
		return nil
	})
}

// take takes the newest version of a key. What makes no sense is passed over.
func (p *pendingFiller) take(key, value []byte) error {
	if key[0] == spaceLocal {
		return p.batch.Set(key, value, nil)
	}
	if len(key) < prefixLen {
		return nil
	}
	if at := key[:prefixLen-1]; !bytes.Equal(at, p.at) {
		if err := p.enter(at); err != nil {
			return err
		}
	}
	switch {
	case p.ns == nil:
		return nil
	case key[0] == spacePending:
		return p.waited.part(key, value)
	}
	return p.part(key, value)
}

// enter begins to read what a space has of a namespace.
func (p *pendingFiller) enter(at []byte) (err error) {
	p.at = append(p.at[:0], at...)
	p.ns, p.writers = p.namespaces[binary.BigEndian.Uint32(at[1:])], map[uint64]bool{}
	if p.ns != nil && at[0] == spacePending {
		p.waited, err = p.beginWaited()
	}
	return err
}

// part takes a key of a namespace. Writers come before all that names them.
func (p *pendingFiller) part(key, value []byte) error {
	n, indexed := splitIndexed(key)
	switch part := key[prefixLen-1]; {
	case part == partWriter && indexed:
		return p.writer(n, value)
	case part == partVector && indexed:
		if p.writers[uint64(n)] {
			return p.batch.Set(makePrefix(spacePending, p.ns.number, pendingVector).indexed(nil, n), value, nil)
		}
	case part == partRecord:
		return p.record(crdt.Key(key[prefixLen:]), value)
	}
	return nil
}

func (p *pendingFiller) writer(n uint32, value []byte) error {
	rec, err := readWriterRecord(value)
	if err != nil || rec.Verify() != nil || rec.Namespace != p.ns.name {
		return nil
	}
	p.writers[uint64(n)], p.most = true, max(p.most, uint64(n))
	return p.batch.Set(makePrefix(spacePending, p.ns.number, pendingWriter).indexed(nil, n), value, nil)
}

func (p *pendingFiller) record(k crdt.Key, value []byte) error {
	rec, err := p.reader.decode(value)
	if err != nil || k.Validate() != nil {
		p.done.Lost++
		return nil
	}
	p.done.Records++
	for i := range rec {
		if n, _ := lostNumber(rec[i].Writer); !p.writers[n] {
			p.done.Unnamed++
		}
	}
	return p.batch.Set(makePrefix(spacePending, p.ns.number, pendingRecord).record(nil, k), value, nil)
}
