package crdt

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

// testDelta is of two nodes, one of which restarted, with a removal and two
// siblings.
func testDelta(t testing.TB) (Delta, *Replica) {
	t.Helper()
	a, b := NewSignedReplica(testKey(1), WriterID{1}), NewSignedReplica(testKey(2), WriterID{2})
	put := func(r *Replica, k Key) {
		if err := r.Update(5, func(tx Tx) error { return tx.Put(k, []byte("v")) }); err != nil {
			t.Fatal(err)
		}
	}
	k1, k2 := mustKey(t, "k1"), mustKey(t, "k2")
	put(a, k1)
	a.Restart(WriterID{3})
	put(a, k1)
	put(b, k1)
	if err := b.Update(6, func(tx Tx) error { return tx.Remove(k2) }); err != nil {
		t.Fatal(err)
	}
	if err := a.Merge(b.Delta(nil)); err != nil {
		t.Fatal(err)
	}
	return a.Delta(Vector{{9}: 9}), a
}

func TestDeltaHasOneEncoding(t *testing.T) {
	d, _ := testDelta(t)
	whole := AppendDelta(nil, d)
	checkGolden(t, "delta2.golden", []goldenCase{{"empty", AppendDelta(nil, Delta{})}, {"delta", whole}})
	wantOneEncoding(t, whole, AppendDelta)
}

// A delta that an earlier release wrote is read, and is the same delta.
func TestDeltaOfTheFirstReleaseIsRead(t *testing.T) {
	d, _ := testDelta(t)
	rows := func(dst []byte, d Delta) []byte { return appendDeltaRows(dst, &d) }
	whole := rows(nil, d)
	checkGolden(t, "delta.golden", []goldenCase{{"empty", rows(nil, Delta{})}, {"delta", whole}})
	wantOneEncoding(t, whole, rows)
	if old, err := ReadDelta(whole); err != nil || !bytes.Equal(AppendDelta(nil, old), AppendDelta(nil, d)) {
		t.Errorf("it is another delta now: %v, error %v", old, err)
	}
}

// wantOneEncoding fails unless whole is read, is written the same again, and
// nothing is read that is cut or goes on.
func wantOneEncoding(t *testing.T, whole []byte, appendTo func([]byte, Delta) []byte) {
	t.Helper()
	got, err := ReadDelta(whole)
	if err != nil || !bytes.Equal(appendTo(nil, got), whole) {
		t.Fatalf("came back as %v, error %v", got, err)
	}
	for cut := range len(whole) {
		if _, err := ReadDelta(whole[:cut:cut]); !errors.Is(err, ErrDelta) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	if _, err := ReadDelta(append(whole, 0)); !errors.Is(err, ErrDelta) {
		t.Errorf("trailing byte: %v", err)
	}
}

func TestDecodedDeltaMergesToTheSameState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		a, b := f.replicas[0], f.replicas[len(f.replicas)-1].Clone()
		c := b.Clone()
		d, err := ReadDelta(AppendDelta(nil, a.Delta(b.Vector())))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(b.Merge(d), c.Merge(a.Delta(nil))); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), c.Bytes()) {
			t.Fatal("a decoded delta and the whole state merge to different states")
		}
	})
}

// TestRefusedDeltaChangesNothing takes a good delta and breaks one rule.
func TestRefusedDeltaChangesNothing(t *testing.T) {
	good, _ := testDelta(t)
	good.From = nil
	for name, c := range map[string]struct {
		want  error
		spoil func(d *Delta)
	}{
		"begins too late":   {ErrGap, func(d *Delta) { d.From = Vector{{2}: 1} }},
		"unknown writer":    {ErrUnknownWriter, func(d *Delta) { d.To = Vector{{7}: 1} }},
		"no records":        {ErrUnknownWriter, func(d *Delta) { d.Writers = nil }},
		"ancestor missing":  {ErrWriterRecord, func(d *Delta) { d.Writers = d.Writers[1:] }},
		"forged":            {ErrWriterRecord, func(d *Delta) { rec := *d.Writers[0]; rec.Started++; d.Writers[0] = &rec }},
		"event beyond To":   {ErrDelta, func(d *Delta) { d.To = Vector{{2}: 1} }},
		"keys out of order": {ErrDelta, func(d *Delta) { slices.Reverse(d.Entries) }},
		"key twice":         {ErrDelta, func(d *Delta) { d.Entries[1].Key = d.Entries[0].Key }},
		"no key":            {ErrDelta, func(d *Delta) { d.Entries[0].Key = "k" }},
		"no events":         {ErrDelta, func(d *Delta) { d.Entries[0].Record = nil }},
		"events unordered": {ErrDelta, func(d *Delta) {
			d.Entries[0].Record = d.Entries[0].Record.Clone()
			slices.Reverse(d.Entries[0].Record)
		}},
	} {
		bad := good
		bad.Entries, bad.Writers = slices.Clone(good.Entries), slices.Clone(good.Writers)
		c.spoil(&bad)
		r := NewSignedReplica(testKey(3), WriterID{30})
		mustPut(t, r)
		before := r.Bytes()
		if err := r.Merge(bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if !bytes.Equal(before, r.Bytes()) || r.Lineage().Len() != 1 {
			t.Errorf("%s: something was applied", name)
		}
		if err := r.Merge(good); err != nil {
			t.Errorf("%s: the good delta is refused afterwards: %v", name, err)
		}
	}
}

// FuzzReadDelta: whatever is read is canonical in its version, and merging it
// into a replica that holds something does not panic.
func FuzzReadDelta(f *testing.F) {
	d, a := testDelta(f)
	f.Add(AppendDelta(nil, d))
	f.Add(appendDeltaRows(nil, &d))
	f.Add(AppendDelta(nil, fleetDelta(f)))
	fuzz.Decoder(f, 128, func(t *testing.T, in []byte) {
		d, err := ReadDelta(in)
		if err != nil {
			return
		}
		if !bytes.Equal(AppendDelta(nil, d), in) && !bytes.Equal(appendDeltaRows(nil, &d), in) {
			t.Fatalf("%x read as %v", in, d)
		}
		_ = NewReplica(NodeID{1}, WriterID{9}).Merge(d)
		_ = a.Clone().Merge(d)
	})
}

// TestASecondRecordIsRefused: a writer is introduced once, whatever a later
// record differs in.
func TestASecondRecordIsRefused(t *testing.T) {
	a, b := NewReplica(NodeID{1}, WriterID{1}), NewReplica(NodeID{2}, WriterID{2})
	mustPut(t, a)
	d := a.Delta(nil)
	if err := errors.Join(b.Merge(d), b.Merge(d)); err != nil {
		t.Fatal(err)
	}
	second := *d.Writers[0]
	second.Started++
	d.Writers = []*WriterRecord{&second}
	if err := b.Merge(d); !errors.Is(err, ErrWriterRecord) || b.WriterRecord(WriterID{1}).Started == second.Started {
		t.Errorf("%v, and the record says %+v", err, b.WriterRecord(WriterID{1}))
	}
}
