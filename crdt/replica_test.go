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
