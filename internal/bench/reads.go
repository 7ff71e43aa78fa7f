package bench

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

const (
	// hotReads is how many keys are read over and over: they fit the cache of
	// records that a database has by default.
	hotReads = 8_000
	// warmReads is how often each is read before that: what is read once is only
	// noted, and what is read again let in.
	warmReads = 3
	// fillBatch is how many keys a transaction writes that fills a store.
	fillBatch = 1_000
	// eventBytes is what a record of ours has beside its value.
	eventBytes = 20
)

// readRows are of reading one node's own store.
func readRows() []Row {
	return []Row{
		{
			Name: "read/cached/map", Work: "a register is read, in a view of its own, cached", Raw: "a look-up of the same key in a Go map of all keys",
			Unit: "ns", Goal: Goal{AtMost: 2}, Prepare: prepareReadMap,
		},
		{
			Name: "read/cached/pebble", Work: "a register is read, in a view of its own, cached", Raw: "a Pebble Get of the same key",
			Unit: "op/s", Goal: Goal{AtLeast: 8},
			Prepare: func(l *Lab) (Repetition, error) { return prepareReadPebble(l, min(hotReads, l.Keys), 5_000) },
		},
		{
			Name: "read/uncached", Work: "a register is read, in a view of its own, any of the store", Raw: "a Pebble Get of the same key",
			Unit: "op/s", Goal: Goal{AtLeast: 0.9},
			Prepare: func(l *Lab) (Repetition, error) { return prepareReadPebble(l, l.Keys, 2_000) },
		},
		{
			Name: "scan", Work: "a view is scanned, records decoded", Raw: "a Pebble iterator over keys and values",
			Unit: "key/s", Goal: Goal{AtLeast: 0.5}, Prepare: prepareScan,
		},
	}
}

// register returns the i-th register of a full store.
func register(i int) crdt.Register[[]byte] { return crdt.NewRegister[[]byte](fmt.Sprintf("%016d", i)) }

// recordKey returns the key that a register's record has, behind a prefix as
// long as ours.
func recordKey(dst []byte, i int) []byte { return fmt.Appendf(dst[:0], "nsprfx%016d\x00\x00r", i) }

// fill writes all keys of a full store, in their order.
func fill(l *Lab, ns *replica.Namespace) error {
	value := make([]byte, valueBytes)
	for from := 0; from < l.Keys; from += fillBatch {
		err := ns.UpdateWith(l.Context, replica.UpdateOptions{Buffered: true}, func(tx *replica.Tx) error {
			for i := from; i < min(from+fillBatch, l.Keys); i++ {
				if err := register(i).Set(tx, value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return ns.Sync(l.Context)
}

// openFull opens a namespace with all keys of a full store, as it is after a
// restart.
func openFull(l *Lab) (*replica.Namespace, error) {
	db, err := openFullDB(l)
	if err != nil {
		return nil, err
	}
	return db.Namespace("bench")
}

func openFullDB(l *Lab) (*replica.DB, error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	db, err := replica.Open(dir, replica.Options{})
	if err != nil {
		return nil, err
	}
	ns, err := db.Namespace("bench")
	if err == nil {
		err = fill(l, ns)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	if db, err = replica.Open(dir, replica.Options{}); err != nil {
		return nil, err
	}
	l.Cleanup(db.Close)
	return db, nil
}

// openFullRaw opens a bare Pebble with the same keys, and the options that ours
// has.
func openFullRaw(l *Lab) (*pebble.DB, error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	db, err := openBloomed(dir)
	if err != nil {
		return nil, err
	}
	value := make([]byte, valueBytes+eventBytes)
	var key []byte
	for from := 0; from < l.Keys && err == nil; from += fillBatch {
		b := db.NewBatch()
		for i := from; i < min(from+fillBatch, l.Keys); i++ {
			key = recordKey(key, i)
			err = errors.Join(err, b.Set(key, value, nil))
		}
		err = errors.Join(err, b.Commit(pebble.NoSync), b.Close())
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	if db, err = openBloomed(dir); err != nil {
		return nil, err
	}
	l.Cleanup(db.Close)
	return db, nil
}

func openBloomed(dir string) (*pebble.DB, error) {
	o := &pebble.Options{
		CacheSize: 16 << 20, MemTableSize: 4 << 20, FormatMajorVersion: pebble.FormatValueSeparation,
		Logger: quiet{},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return pebble.Open(dir, o)
}

// picks are keys of a full store, in an order that is not theirs: some of them
// over and over.
type picks struct {
	registers []crdt.Register[[]byte]
	keys      []int
	ours, raw atomic.Uint64
}

func pick(l *Lab, n int) *picks {
	p := &picks{}
	for i := range n {
		k := int(uint64(i) * 61_803 % uint64(n) * uint64(l.Keys) / uint64(n))
		p.keys = append(p.keys, k)
		p.registers = append(p.registers, register(k))
	}
	return p
}

// next returns the place of the next one.
func (p *picks) next(at *atomic.Uint64) int { return int(at.Add(1) % uint64(len(p.keys))) }

// readOne reads one register in a view of its own.
func readOne(l *Lab, ns *replica.Namespace, r *crdt.Register[[]byte]) error {
	return ns.View(l.Context, func(v *replica.View) error {
		value, err := r.Get(v)
		if err == nil && len(value) != valueBytes {
			err = fmt.Errorf("a value of %d bytes was read", len(value))
		}
		return err
	})
}

// read reads n registers.
func (p *picks) read(l *Lab, ns *replica.Namespace) func(n int) error {
	return func(n int) error {
		for range n {
			if err := readOne(l, ns, &p.registers[p.next(&p.ours)]); err != nil {
				return err
			}
		}
		return nil
	}
}

func prepareReadMap(l *Lab) (Repetition, error) {
	ns, err := openFull(l)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]byte, l.Keys)
	value := make([]byte, valueBytes*l.Keys)
	for i := range l.Keys {
		all[string(recordKey(nil, i)[6:])] = value[i*valueBytes : (i+1)*valueBytes]
	}
	p := pick(l, min(hotReads, l.Keys))
	keys := make([]string, len(p.keys))
	for i, k := range p.keys {
		keys[i] = string(recordKey(nil, k)[6:])
	}
	t := Turns{Each: 20_000, Turns: 10, Ours: p.read(l, ns)}
	if err := t.Ours(warmReads * len(keys)); err != nil { // they are cached from then on
		return nil, err
	}
	t.Raw = func(n int) error {
		for range n {
			if v := all[keys[p.next(&p.raw)]]; len(v) != valueBytes {
				return errors.New("a key is missing")
			}
		}
		return nil
	}
	return t.Nanos, nil
}

// prepareReadPebble reads so many keys in turns, spread over all of them.
func prepareReadPebble(l *Lab, n, each int) (Repetition, error) {
	ns, err := openFull(l)
	if err != nil {
		return nil, err
	}
	raw, err := openFullRaw(l)
	if err != nil {
		return nil, err
	}
	p := pick(l, n)
	t := Turns{Each: each, Turns: 10, Ours: p.read(l, ns)}
	var key []byte
	t.Raw = func(n int) error {
		for range n {
			key = recordKey(key, p.keys[p.next(&p.raw)])
			value, closer, err := raw.Get(key)
			if err != nil {
				return err
			}
			if len(value) < valueBytes {
				return errors.New("a value is short")
			}
			if err := closer.Close(); err != nil {
				return err
			}
		}
		return nil
	}
	warm := warmReads * min(n, hotReads)
	if err := errors.Join(t.Ours(warm), t.Raw(warm)); err != nil {
		return nil, err
	}
	return t.Rate, nil
}

func prepareScan(l *Lab) (Repetition, error) {
	ns, err := openFull(l)
	if err != nil {
		return nil, err
	}
	raw, err := openFullRaw(l)
	if err != nil {
		return nil, err
	}
	// A turn is a whole scan, so that both sides read the same.
	t := Turns{Each: l.Keys, Turns: 2}
	t.Ours = func(n int) error {
		return ns.View(l.Context, func(v *replica.View) error {
			for e, err := range v.Scan(crdt.AllKeys) {
				if err != nil {
					return err
				}
				if len(e.Record) == 1 && len(e.Record[0].Value) > valueBytes {
					n--
				}
			}
			return left(n)
		})
	}
	t.Raw = func(n int) error {
		it, err := raw.NewIter(nil)
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			value, err := it.ValueAndErr()
			if err != nil {
				return errors.Join(err, it.Close())
			}
			if len(it.Key()) > keyBytes && len(value) > valueBytes {
				n--
			}
		}
		return errors.Join(left(n), it.Error(), it.Close())
	}
	return t.Rate, nil
}

func left(n int) error {
	if n != 0 {
		return fmt.Errorf("%d keys were not read", n)
	}
	return nil
}
