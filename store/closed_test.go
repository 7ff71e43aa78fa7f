package store

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
)

// A call that comes when the store is closed, or that waited for a lock
// meanwhile, is told so. Pebble would panic.
func TestCallsAfterCloseAreRefused(t *testing.T) {
	s, ns := openThings(t, "db", repairOptions(vfs.NewMem(), 1))
	set(t, ns, 1, "k")
	snap, err := ns.Snapshot()
	ok(t, err)
	recs, err := ns.WriterRecords([]crdt.WriterID{ns.Writer()})
	ok(t, errors.Join(err, snap.Close()))
	p, err := ns.loadPending()
	ok(t, err)
	ok(t, s.Close())
	entry := crdt.Entry{Key: testKey("k"), Record: crdt.Record{{Dot: crdt.Dot{Writer: recs[0].Writer, Seq: 1}}}}
	for name, call := range map[string]func() error{
		"WriterRecord": func() error { _, err := ns.WriterRecord(recs[0].Writer); return err },
		"Learn":        func() error { return ns.Learn(recs) },
		"Heal":         func() error { _, err := ns.heal([]crdt.Entry{entry}, nil); return err },
		"Reissue": func() error {
			_, err := p.commit([]crdt.Entry{entry}, new(Reissued))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := call(); !errors.Is(err, ErrClosed) {
				t.Errorf("error %v", err)
			}
		})
	}
}
