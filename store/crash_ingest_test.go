package store_test

import (
	"testing"

	"github.com/anabranch-db/anabranch/store"
)

// TestTablesAreNotAheadOfTheLog cuts the power at each fsync of staged deltas
// that are overtaken by buffered commits, at keys and in a part of the log
// that the tables do not reach: then Pebble would add the tables durably
// while the commits before them are in memory only.
func TestTablesAreNotAheadOfTheLog(t *testing.T) {
	w := newCrashWorld(t, 1)
	w.ok(w.store.Close())
	w.stage = 500
	w.open()
	ns, err := w.store.Namespace("things")
	w.ok(err)
	w.commit(ns, false) // takes the first number: all peers' logs come after
	w.watch()
	staged := 0
	for i := range 12 {
		p := w.peers[i%2]
		w.peerCommits(p, "things")
		d := deltaOf(t, w.peerNamespace(p, "things"), ns.Vector())
		done, err := d.applyOvertaken(ns, func() {
			ops := []store.Op{set(numbered(1000), "overtakes")}
			d, err := ns.Commit(&store.Write{Ops: ops, Buffered: true})
			w.ok(err)
			w.committed(ns, d, ops)
		})
		w.ok(err)
		if done.Staged {
			staged++
		}
		w.lines[ns.Incarnation()].advance(func(m *model) { m.merge(p.models["things"]) })
		w.verify()
	}
	if staged < 6 {
		t.Fatalf("only %d deltas were staged", staged)
	}
	w.ok(w.store.Close())
}
