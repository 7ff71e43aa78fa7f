package replica

import (
	"crypto/ed25519"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// foreignPut applies a transaction of another node, which has seen nothing of
// ns, and wrote the values at the keys.
func foreignPut(t testing.TB, ns *Namespace, values map[crdt.Key]string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	rec := &crdt.WriterRecord{
		Writer: crdt.WriterID(public[:16]), Node: crdt.NodeID(public),
		Namespace: ns.Name(), Started: 1,
	}
	copy(rec.Signature[:], ed25519.Sign(key, rec.SigningBytes()))
	if err := ns.store.Learn([]*crdt.WriterRecord{rec}); err != nil {
		t.Fatal(err)
	}
	in := ns.store.Begin()
	dot := crdt.Dot{Writer: rec.Writer, Seq: 1}
	for k, v := range values {
		e := crdt.Event{Dot: dot, Time: 1, Value: []byte(v)}
		if err := in.Add(crdt.Entry{Key: k, Record: crdt.Record{e}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := in.Finish(crdt.Vector{dot.Writer: dot.Seq}, nil); err != nil {
		t.Fatal(err)
	}
}
