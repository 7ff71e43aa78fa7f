package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// sixteen stands for a namespace with writers 0 to 15.
func sixteen(n uint64) (crdt.WriterID, bool) { return crdt.WriterID{byte(n)}, n < 16 }

func sixteenth(w crdt.WriterID) uint64 { return uint64(w[0]) }

var sampleRecord = crdt.Record{
	{Dot: crdt.Dot{Writer: crdt.WriterID{1}, Seq: 1 << 40}, Time: 7, Value: []byte("value")},
	{Dot: crdt.Dot{Writer: crdt.WriterID{2}, Seq: 3}, Time: 9, Removed: true},
	{Dot: crdt.Dot{Writer: crdt.WriterID{3}, Seq: 4}, Time: 11, Value: []byte{}, Ext: []byte{0xc0, 0xa1, 'x'}},
}

func sampleWriter() *crdt.WriterRecord {
	return &crdt.WriterRecord{
		Writer: crdt.WriterID{1}, Node: crdt.NodeID{2}, Namespace: "things",
		Parents: []crdt.Dot{{Writer: crdt.WriterID{3}, Seq: 4}}, Started: 5,
	}
}

func sampleLog() []byte {
	var value []byte
	l := logEntry{}
	put := func(_, v []byte) error { value = slices.Clone(v); return nil }
	l.start(makePrefix(spaceNamespace, 1, partLog), 2, 3)
	l.add("one", put)
	l.add("two", put)
	l.finish(put)
	return value
}

// decoders are all decoders of values, as what they do to bytes: an error, or
// the bytes that mean the same.
var decoders = []struct {
	name   string
	sample []byte
	decode func([]byte) ([]byte, error)
}{
	{"record", appendRecord(nil, sampleRecord, sixteenth), func(b []byte) ([]byte, error) {
		d := recordReader{writers: sixteen}
		rec, err := d.decode(b)
		return appendRecord(nil, rec, sixteenth), err
	}},
	{"record of one event", appendRecord(nil, sampleRecord[:1], sixteenth), func(b []byte) ([]byte, error) {
		d := recordReader{writers: sixteen}
		rec, err := d.read([]byte("key"), b)
		return appendRecord(nil, rec, sixteenth), err
	}},
	{"log entry", sampleLog(), func(b []byte) ([]byte, error) {
		var again []byte
		l := logEntry{}
		put := func(_, v []byte) error { again = slices.Clone(v); return nil }
		err := readLogKeys(b, func(k []byte) bool { return l.add(crdt.Key(k), put) == nil })
		l.finish(put)
		return again, err
	}},
	{"number", appendNumber(nil, 1<<33), func(b []byte) ([]byte, error) {
		n, err := readNumber(b, 1<<40)
		return appendNumber(nil, n), err
	}},
	{"writer record", appendWriterRecord(nil, sampleWriter()), func(b []byte) ([]byte, error) {
		rec, err := readWriterRecord(b)
		if err != nil {
			return nil, err
		}
		return appendWriterRecord(nil, rec), nil
	}},
	{"vector by numbers", numbered(nil), func(b []byte) ([]byte, error) {
		r, err := metaReader(b)
		if err != nil {
			return nil, err
		}
		v := sampleNamespace().readNumbered(r)
		if err := r.Done(); err != nil {
			return nil, err
		}
		return numbered(v), nil
	}},
	{"block of the index of writers", sampleIndex().appendIndexBlock(nil, 0), rewriteIndex},
}

// sampleNamespace has the writers of sixteen.
func sampleNamespace() *Namespace {
	var table []crdt.WriterID
	for n := range uint64(16) {
		w, _ := sixteen(n)
		table = append(table, w)
	}
	ns := &Namespace{}
	ns.lineage.table.Store(&table)
	return ns
}

// numbered writes a vector of these writers, or a sample.
func numbered(v crdt.Vector) []byte {
	if v == nil {
		v = crdt.Vector{{1}: 7, {15}: 1 << 50}
	}
	return appendNumbered([]byte{metaFormat}, v, func(w crdt.WriterID) (uint32, bool) { return uint32(w[0]), true })
}

func TestEachValueSurvivesARoundTripAndNoTruncation(t *testing.T) {
	for _, d := range decoders {
		if again, err := d.decode(d.sample); err != nil || !bytes.Equal(again, d.sample) {
			t.Errorf("%s: %x becomes %x (%v)", d.name, d.sample, again, err)
		}
		for n := range d.sample {
			if _, err := d.decode(d.sample[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes are read", d.name, n, len(d.sample))
			}
		}
		if _, err := d.decode(append(slices.Clone(d.sample), 0)); err == nil {
			t.Errorf("%s: a byte too many is read", d.name)
		}
		other := slices.Clone(d.sample)
		other[0]++
		if _, err := d.decode(other); err == nil {
			t.Errorf("%s: an unknown format is read", d.name)
		}
	}
}

func TestAnEventOfAnUnknownWriterIsDamage(t *testing.T) {
	d := recordReader{writers: func(uint64) (w crdt.WriterID, ok bool) { return w, false }}
	for _, rec := range []crdt.Record{sampleRecord, sampleRecord[:1]} {
		if _, err := d.read([]byte("key"), appendRecord(nil, rec, sixteenth)); !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	}
}

func TestALongLogEntryIsInParts(t *testing.T) {
	p := makePrefix(spaceNamespace, 1, partLog)
	var keys [][]byte
	var read []string
	put := func(key, value []byte) error {
		if len(value) > logPartBytes+crdt.MaxKeyBytes {
			t.Errorf("a part of %d bytes", len(value))
		}
		if w, seq, ok := splitLogged(key); !ok || w != 2 || seq != 3 {
			t.Errorf("part %x is of %d:%d", key, w, seq)
		}
		keys = append(keys, slices.Clone(key))
		return readLogKeys(value, func(k []byte) bool { read = append(read, string(k)); return true })
	}
	l := logEntry{}
	l.start(p, 2, 3)
	for i := range 20_000 {
		if err := l.add(crdt.Key(fmt.Sprintf("%0*d", 20+i%100, i)), put); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.finish(put); err != nil {
		t.Fatal(err)
	}
	if len(keys) < 8 || len(read) != 20_000 || !slices.IsSortedFunc(keys, bytes.Compare) {
		t.Fatalf("%d parts with %d keys", len(keys), len(read))
	}
	if next := p.logged(nil, 2, 4); bytes.Compare(keys[len(keys)-1], next) >= 0 {
		t.Fatalf("the last part %x is behind the next entry %x", keys[len(keys)-1], next)
	}
}

func TestReadingValuesAllocatesSeldom(t *testing.T) {
	value := appendRecord(nil, sampleRecord[:1], sixteenth)
	d := recordReader{writers: sixteen}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := d.read(nil, value); err != nil {
			t.Fatal(err)
		}
	}); n > 0.1 {
		t.Errorf("%v allocations per record", n)
	}
}

func FuzzValues(f *testing.F) {
	for _, d := range decoders {
		f.Add(d.sample)
	}
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		for _, d := range decoders {
			once, err := d.decode(b)
			if err != nil {
				continue
			}
			twice, err := d.decode(once)
			if err != nil || !bytes.Equal(once, twice) {
				t.Errorf("%s: %x is read, %x becomes %x (%v)", d.name, b, once, twice, err)
			}
		}
	})
}

func FuzzKeys(f *testing.F) {
	p := makePrefix(spaceNamespace, 1, partLog)
	f.Add(p.logged(nil, 2, 3))
	f.Add(p.indexed(nil, 2))
	fuzz.Decoder(f, 128, func(t *testing.T, key []byte) {
		if w, seq, ok := splitLogged(key); ok {
			again := p.logged(nil, w, seq)
			if !bytes.Equal(again[prefixLen:], key[prefixLen:logKeyLen]) {
				t.Errorf("%x becomes %x", key, again)
			}
		}
		if e, ok := splitExpiring(key); ok && !bytes.Equal(p.expiring(nil, e.bucket, e.key)[prefixLen:], key[prefixLen:]) {
			t.Errorf("%x expires at %d: %q", key, e.bucket, e.key)
		}
		if n, ok := splitIndexed(key); ok && n != binary.BigEndian.Uint32(key[prefixLen:]) {
			t.Errorf("%x is of writer %d", key, n)
		}
	})
}
