package crdt

import (
	"bytes"
	"errors"
	"testing"
)

func TestReplicasConvergeOverDeltas(t *testing.T) {
	a, b := NewReplica(NodeID{1}, WriterID{1}), NewReplica(NodeID{2}, WriterID{2})
	k := mustKey(t, "k")
	put := func(r *Replica, v string) {
		t.Helper()
		if err := r.Update(1, func(tx Tx) error { return tx.Put(k, []byte(v)) }); err != nil {
			t.Fatal(err)
		}
	}
	put(a, "a1")
	put(b, "b1")
	if err := b.Merge(a.Delta(b.Vector())); err != nil {
		t.Fatal(err)
	}
	if err := a.Merge(b.Delta(a.Vector())); err != nil {
		t.Fatal(err)
	}
	if rec, _ := a.View().Get(k); len(rec) != 2 {
		t.Fatalf("%d siblings, want 2", len(rec))
	}
	put(a, "a2")
	if err := b.Merge(a.Delta(b.Vector())); err != nil {
		t.Fatal(err)
	}
	if rec, _ := b.View().Get(k); len(rec) != 1 || string(rec[0].Value) != "a2" {
		t.Fatalf("record %v, want a2 alone", rec)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || a.Digest() != b.Digest() {
		t.Fatal("states differ")
	}
}

func TestFailedUpdateLeavesNoTrace(t *testing.T) {
	r := NewReplica(NodeID{1}, WriterID{1})
	before, boom := r.Bytes(), errors.New("boom")
	err := r.Update(1, func(tx Tx) error {
		if err := tx.Put(mustKey(t, "k"), []byte("v")); err != nil {
			t.Fatal(err)
		}
		return boom
	})
	if !errors.Is(err, boom) || !bytes.Equal(before, r.Bytes()) {
		t.Fatalf("error %v, state changed: %v", err, !bytes.Equal(before, r.Bytes()))
	}
}

func mustKey(t testing.TB, parts ...string) Key {
	t.Helper()
	k, err := MakeKey(parts, TypeRegister, "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWriterIsNeverUsedTwice(t *testing.T) {
	put := func(tx Tx) error { return tx.Put(anyKey, nil) }
	r := NewReplica(NodeID{1}, WriterID{1})
	mustPut(t, r)
	clone := r.Clone()
	if err := clone.Update(0, put); !errors.Is(err, ErrWriterSpent) {
		t.Errorf("a clone that did not restart wrote: %v", err)
	}
	clone.Restart(WriterID{1})
	if err := clone.Update(0, put); !errors.Is(err, ErrWriterSpent) {
		t.Errorf("a restart as the writer of before wrote: %v", err)
	}
	twin := NewReplica(NodeID{1}, WriterID{1})
	mustPut(t, twin)
	mustPut(t, twin)
	if err := r.Merge(twin.Delta(nil)); err != nil {
		t.Fatal(err)
	}
	if err := r.Update(0, put); !errors.Is(err, ErrWriterSpent) {
		t.Errorf("a replica that met its twin wrote on: %v", err)
	}
	r.Restart(WriterID{2})
	mustPut(t, r)
}

func TestTransactionReadsItsWritesAndEnds(t *testing.T) {
	r := NewReplica(NodeID{1}, WriterID{1})
	k, last := mustKey(t, "k"), mustKey(t, "z")
	var kept Tx
	err := r.Update(1, func(tx Tx) error {
		kept = tx
		if node, ok := tx.NodeOf(tx.Writer()); !ok || node != tx.Node() {
			t.Error("a transaction does not know its own writer")
		}
		err := errors.Join(tx.Put(k, []byte("v")), tx.Put(last, nil), tx.Remove(k))
		rec, _ := tx.Get(k)
		e, ok, _ := tx.Last(AllKeys)
		if len(rec) != 1 || !rec[0].Removed || !ok || e.Key != last {
			t.Errorf("read %v, last %q", rec, string(e.Key))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Put(k, nil); !errors.Is(err, ErrTxEnded) {
		t.Errorf("a put after the end: %v", err)
	}
	if v := r.Vector(); len(v) != 1 || v[WriterID{1}] != 1 {
		t.Errorf("one transaction made %v", v)
	}
	if err := r.Update(1, func(Tx) error { return nil }); err != nil || r.Vector()[WriterID{1}] != 1 {
		t.Errorf("a transaction without writes took a number, error %v", err)
	}
}

func TestViewStaysAsItIs(t *testing.T) {
	r := NewReplica(NodeID{1}, WriterID{1})
	mustPut(t, r)
	v := r.View()
	before, err := Digest(v)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mustPut(t, r)
	}
	if after, err := Digest(v); err != nil || before != after || after == r.Digest() {
		t.Fatalf("the view moved, or the replica did not; error %v", err)
	}
}

func TestMalformedWritesAreRefused(t *testing.T) {
	r := NewReplica(NodeID{1}, WriterID{1})
	_ = r.Update(1, func(tx Tx) error {
		if err := tx.Put("no path", nil); !errors.Is(err, ErrPath) {
			t.Errorf("a key without an end: %v", err)
		}
		if err := tx.Put(anyKey, make([]byte, MaxValueBytes+1)); !errors.Is(err, ErrValue) {
			t.Errorf("a value too long: %v", err)
		}
		return nil
	})
}
