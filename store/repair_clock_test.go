package store

import (
	"testing"
	"time"
)

// Of a writer whose record was lost only the time of its events tells whether
// peers have overwritten them: while clocks are right none comes back, and the
// repair says how many of them a wrong one may bring back.
func TestTimeTellsOfEventsOfLostWriters(t *testing.T) {
	for off, back := range map[time.Duration]int{0: 0, -time.Hour: 1} {
		mem := filledNode(t)
		o, other := repairOptions(mem, 1), repairOptions(mem, 2)
		other.Now = func() time.Time { return time.Now().Add(off) }
		p, peer := openThings(t, "peer", other)
		s, ns := openThings(t, "db", o)
		pullAll(t, peer, ns)
		tamper(t, s, ns.writers.indexed(nil, 1), nil)
		ok(t, s.Close())
		_, err := peer.Commit(&Write{Ops: []Op{{Key: testKey("high0007"), Removed: true}}})
		ok(t, err)
		hurt(t, mem)
		done, err := Repair(t.Context(), "db", o)
		if err != nil || done.Unnamed != 60 {
			t.Errorf("%+v (%v)", done, err)
		}
		s, ns = openThings(t, "db", o)
		pullAll(t, ns, peer)
		again, err := ns.Reissue(t.Context())
		if err != nil || again.Events != back {
			t.Errorf("with a clock that is off by %v: %+v (%v), want %d events", off, again, err, back)
		}
		snap, err := ns.Snapshot()
		ok(t, err)
		rec, err := snap.Get(testKey("high0007"))
		if ok(t, err); len(rec) != 1+back {
			t.Errorf("with a clock that is off by %v it holds %v", off, rec)
		}
		ok(t, snap.Close())
		ok(t, s.Close())
		ok(t, p.Close())
	}
}
