package replica

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// Values stay as they were put, whatever is put after them and wherever they
// were built, until the overlay is reset.
func TestAnOverlayKeepsWhatWasPut(t *testing.T) {
	var o overlay
	for round := range 3 {
		want := map[crdt.Key][]byte{}
		for i := range 200 {
			k := crdt.Key(fmt.Sprint(i % 150)) // some twice
			value := bytes.Repeat([]byte{byte(i + round)}, i*i%6000)
			lent := append(o.lend(), value...)
			if err := o.put(store.Op{Key: k, Value: lent}); err != nil {
				t.Fatal(err)
			}
			want[k] = value
		}
		for k, value := range want {
			if op, ok := o.get(k); !ok || !bytes.Equal(op.Value, value) {
				t.Fatalf("round %d: %s has %d bytes, want %d", round, k, len(op.Value), len(value))
			}
		}
		if n := len(o.in(crdt.AllKeys)); n != 150 {
			t.Fatalf("round %d: %d writes", round, n)
		}
		o.reset()
		if _, ok := o.get("1"); ok || o.bytes != 0 || cap(o.spare) > maxSpareBytes || cap(o.ops) > maxSpareOps {
			t.Fatalf("round %d: it is not empty: %d writes, room for %d and %d bytes", round, len(o.ops), cap(o.ops), cap(o.spare))
		}
	}
}

// What was read in a transaction of its own write stays as it was when it
// writes again.
func TestAnOverlayWritesOverNothing(t *testing.T) {
	var o overlay
	for _, value := range []string{"first", "second", "third"} {
		before, had := o.get("k")
		was := string(before.Value)
		if err := o.put(store.Op{Key: "k", Value: append(o.lend(), value...)}); err != nil {
			t.Fatal(err)
		}
		if had && string(before.Value) != was {
			t.Errorf("%q became %q", was, before.Value)
		}
	}
}
