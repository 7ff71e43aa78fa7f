package store

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// A vector of more branches than a message may name is written, so it is read:
// to take it for damage would end the store.
func TestALongVectorOnDiskIsRead(t *testing.T) {
	s, ns := openThings(t, "db", repairOptions(vfs.NewMem(), 1))
	defer s.Close()
	set(t, ns, 1, "k")
	const entries = crdt.MaxVectorEntries + 1
	value := crdt.AppendArray(nil, 2*entries)
	for range entries { // of one writer, since to make so many takes long
		value = crdt.AppendUint(crdt.AppendUint(value, 0), 1)
	}
	r := crdt.NewReader(value)
	v := ns.readNumbered(r)
	ok(t, r.Done())
	if v[ns.Writer()] != 1 {
		t.Errorf("it says %v", v.Entries())
	}
}
