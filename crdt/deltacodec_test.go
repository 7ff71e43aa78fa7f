package crdt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fleetDelta is of nodes that restarted, and counted, since a vector that covers
// some of it.
func fleetDelta(t testing.TB) Delta {
	t.Helper()
	all := NewReplica(NodeID{99}, WriterID{99})
	var since Vector
	for n := range byte(5) {
		r := NewReplica(NodeID{n}, WriterID{n, 1})
		for run := range byte(4) {
			err := r.Update(1_700_000_000_000+int64(run), func(tx Tx) error { return NewCounter("count").Add(tx, int64(n)) })
			if err != nil {
				t.Fatal(err)
			}
			r.Restart(WriterID{n, run + 2})
		}
		if n == 2 {
			since = all.Vector()
		}
		if err := all.Merge(r.Delta(nil)); err != nil {
			t.Fatal(err)
		}
	}
	return all.Delta(since)
}

// A delta says nothing twice: the bytes of keys, values, and what has to be said
// of a writer, and little else.
func TestDeltasAreShort(t *testing.T) {
	document, counter := NewReplica(NodeID{1}, WriterID{1}), NewReplica(NodeID{1}, WriterID{1})
	for i, e := range bulkEntries(t, 10_000) {
		if err := document.Update(int64(1+i/100), func(tx Tx) error { return tx.Put(e.Key, e.Record[0].Value) }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100_000 {
		if err := counter.Update(int64(1+i), func(tx Tx) error { return NewCounter("count").Add(tx, 1) }); err != nil {
			t.Fatal(err)
		}
	}
	// Of the counter: the ids of a node and a writer take 48 bytes, the key 9, the
	// amounts 8, and the seq, twice, and the times 10.
	for name, c := range map[string]struct{ got, most int }{
		"10,000 keys with values of 100 bytes": {len(AppendDelta(nil, document.Delta(nil))), 1_020_000},
		"a counter after 100,000 adds":         {len(AppendDelta(nil, counter.Delta(nil))), 120},
	} {
		if c.got > c.most {
			t.Errorf("%s: %d bytes, at most %d", name, c.got, c.most)
		}
	}
}

// However little of keys is new, and however many of them there are, a delta is
// read within its bounds, and as the same delta.
func TestDeltaOfKeysThatUnfoldIsInBlocks(t *testing.T) {
	r := NewReplica(NodeID{1}, WriterID{1})
	err := r.Update(1, func(tx Tx) error {
		for i := range 1000 {
			if err := tx.Put(mustKey(t, fmt.Sprintf("%s%03d", strings.Repeat("k", 500), i)), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := r.Delta(nil)
	b := AppendDelta(nil, want)
	got, err := ReadDelta(b)
	if err != nil || !slices.EqualFunc(got.Entries, want.Entries, sameEntry) || b[0] != deltaVersion {
		t.Fatalf("%d entries, error %v", len(got.Entries), err)
	}
	if len(b) > 500*1000/10 || len(b) < 500*1000/maxUnfolded {
		t.Errorf("%d bytes", len(b))
	}
}

// What version 2 cannot say is in version 1, and refused by those who take it.
func TestDeltaThatKeepsNoRulesIsInRows(t *testing.T) {
	good, _ := testDelta(t)
	for name, spoil := range map[string]func(d *Delta){
		"introduced twice": func(d *Delta) { d.Writers = append(d.Writers, d.Writers[0]) },
		"no events":        func(d *Delta) { d.Entries[0].Record = nil },
		"many events": func(d *Delta) {
			d.Entries[0].Record = nil
			for i := range 1000 {
				d.Entries[0].Record = append(d.Entries[0].Record, Event{Dot: Dot{WriterID{1}, uint64(i + 1)}, Removed: true})
			}
		},
	} {
		d := good
		d.Entries, d.Writers = slices.Clone(d.Entries), slices.Clone(d.Writers)
		spoil(&d)
		b := AppendDelta(nil, d)
		if got, err := ReadDelta(b); err != nil || !bytes.Equal(b, appendDeltaRows(nil, &got)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// deltaWith is the delta of a fleet after a change of the columns of its head, the
// last three of which are nodes, namespaces and signatures.
func deltaWith(t *testing.T, change func(columns [][]byte)) []byte {
	b := AppendDelta(nil, fleetDelta(t))
	r := NewReader(b[1:])
	records, further := r.uvarint(), r.uvarint()
	r.take(int(records+further) * len(WriterID{}))
	changed := slices.Clone(b[:1+r.pos])
	columns := make([][]byte, headCount+3)
	for i := range columns {
		columns[i] = r.counted()
	}
	change(columns)
	for _, c := range columns {
		changed = appendCounted(changed, c)
	}
	return append(changed, r.Rest()...)
}

// A head with more parents than bytes is refused before one of them is read, and a
// writer with more than are allowed when it comes.
func TestDeltaWithTooManyParentsIsRefused(t *testing.T) {
	refused := func(b []byte, why string) {
		t.Helper()
		if _, err := ReadDelta(b); !errors.Is(err, ErrDelta) || !strings.Contains(fmt.Sprint(err), why) {
			t.Errorf("error %v, want one that says %q", err, why)
		}
	}
	much := deltaWith(t, func(columns [][]byte) {
		nodes := columnReader{buf: columns[headNode]}
		m, ok := nodes.measure(0)
		if !ok || m.count < 4 {
			t.Fatalf("%d writers", m.count)
		}
		columns[headParents] = binary.AppendUvarint(append(binary.AppendUvarint(nil, 1<<20), 1, 1), m.count-3)
	})
	refused(much, fmt.Sprintf("column %d ", headParents))

	d := fleetDelta(t)
	rec := *d.Writers[0]
	for i := range MaxParents + 1 {
		rec.Parents = append(rec.Parents, Dot{WriterID{1, byte(i >> 8), byte(i)}, 1})
	}
	d.Writers[0] = &rec
	refused(AppendDelta(nil, d), fmt.Sprintf("%d parents", len(rec.Parents)))
}

func TestDeltaHeadsThatBreakTheRulesAreRefused(t *testing.T) {
	with := func(at int, numbers ...byte) []byte {
		return deltaWith(t, func(columns [][]byte) { columns[at] = numbers })
	}
	more := func(at int, b ...byte) []byte {
		return deltaWith(t, func(columns [][]byte) { columns[at] = slices.Concat(columns[at], b) })
	}
	if d, err := ReadDelta(more(headFrom)); err != nil || len(d.Entries) == 0 {
		t.Fatalf("the delta before it is changed: %v, error %v", d, err)
	}
	many := bytes.Repeat([]byte{0xff}, 9)
	for name, b := range map[string][]byte{
		"more writers than bytes":      {deltaVersion, 0xff, 0x7f, 0},
		"far more writers":             append(append([]byte{deltaVersion, 1}, many...), 1),
		"no vector":                    with(headFrom),
		"a node that is not there":     with(headNode, 0, 0, 100, 9),
		"a namespace too long":         with(headName, 0xff, 0x01),
		"more parents than there are":  with(headParents, 0, 0, 0),
		"parents without number":       with(headParents, append([]byte{1, 1}, many...)...),
		"a parent before the first":    with(headParent, 0x40),
		"a parent of seq 0":            with(headSeq),
		"signatures that are not":      with(headSigned, 1, 1, 6),
		"nodes that are left":          more(headCount, make([]byte, 32)...),
		"a namespace that nobody has":  more(headCount+1, 'x'),
		"a signature that nobody made": more(headCount+2, 'x'),
	} {
		if d, err := ReadDelta(b); !errors.Is(err, ErrDelta) {
			t.Errorf("%s: read %v, error %v", name, d, err)
		}
	}
}
