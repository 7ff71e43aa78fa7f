package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// healedStore returns a store with the namespace that checkedStore makes, its
// vector, and all that it holds.
func healedStore(t *testing.T) (*Store, *Namespace, crdt.Vector, []crdt.Entry) {
	t.Helper()
	_, o := checkedStore(t)
	s, err := Open("db", o)
	ok(t, err)
	ns, err := s.Namespace("things")
	ok(t, err)
	snap, err := ns.Snapshot()
	ok(t, err)
	defer snap.Close()
	var all []crdt.Entry
	for e, err := range snap.Scan(crdt.AllKeys) {
		ok(t, err)
		all = append(all, e)
	}
	return s, ns, snap.Vector(), all
}

func recordAt(t *testing.T, ns *Namespace, k crdt.Key) crdt.Record {
	t.Helper()
	rec, err := ns.get(ns.store.engine.DB, k)
	ok(t, err)
	return rec
}

// What was lost comes back, with its place in the log; nothing else changes,
// and once more nothing does.
func TestHealBringsBackWhatWasLost(t *testing.T) {
	s, ns, vector, all := healedStore(t)
	defer s.Close()
	key := testKey("a")
	want := recordAt(t, ns, key)
	tamper(t, s, ns.records.record(nil, key), nil)
	n, _ := ns.lineage.number(want[0].Writer)
	tamper(t, s, ns.log.logged(nil, n, want[0].Seq), nil)
	changed, err := ns.Heal(all, vector)
	if err != nil || changed != 1 {
		t.Fatalf("%d records changed (%v), want 1", changed, err)
	}
	if got := recordAt(t, ns, key); len(got) != 1 || got[0].Dot != want[0].Dot || string(got[0].Value) != string(want[0].Value) {
		t.Errorf("there is %v, want %v", got, want)
	}
	found := false
	ok(t, scanLog(s.engine.DB, ns.log, []stretch{{n, want[0].Seq - 1, want[0].Seq}}, func(_ uint32, _ uint64, k []byte) bool {
		found = found || string(k) == string(key)
		return true
	}))
	if !found {
		t.Error("the log does not lead to it")
	}
	if changed, err = ns.Heal(all, vector); err != nil || changed != 0 {
		t.Errorf("once more: %d records changed (%v)", changed, err)
	}
	if got := ns.Vector(); !got.Equal(vector) {
		t.Errorf("the vector is %v, was %v", got, vector)
	}
	ok(t, s.Check(context.Background()))
}

// A long transaction's log entry of which a collection took the first part is
// made whole again, and leads to no key twice.
func TestHealOfALongTransactionThatWasPartlyCollected(t *testing.T) {
	s, ns, _, _ := healedStore(t)
	defer s.Close()
	long := strings.Repeat("-", 2048)
	var ops []Op
	for i := range 3 * logPartBytes / len(long) {
		ops = append(ops, Op{Key: testKey(fmt.Sprintf("%03d%s", i, long)), Value: []byte("v")})
	}
	dot, err := ns.Commit(&Write{Ops: ops})
	ok(t, err)
	_, err = ns.Commit(&Write{Ops: ops[:len(ops)/2]})
	ok(t, err)
	done, err := ns.Collect(t.Context(), &crdt.Past{}, 0)
	if err != nil || done.Log == 0 {
		t.Fatalf("collected %+v (%v), want a part of the log", done, err)
	}
	ok(t, s.Check(t.Context()))
	lost := ops[len(ops)-1].Key
	theirs := crdt.Entry{Key: lost, Record: recordAt(t, ns, lost)}
	tamper(t, s, ns.records.record(nil, lost), nil)
	if changed, err := ns.Heal([]crdt.Entry{theirs}, crdt.Vector{dot.Writer: dot.Seq}); err != nil || changed != 1 {
		t.Fatalf("%d records changed (%v), want 1", changed, err)
	}
	ok(t, s.Check(t.Context()))
}

// Of two contents of one dot both sides keep the same, whoever heals first.
func TestHealKeepsOneOfTwoContents(t *testing.T) {
	s, ns, vector, all := healedStore(t)
	defer s.Close()
	at := slices.IndexFunc(all, func(e crdt.Entry) bool { return e.Key == testKey("a") })
	theirs := crdt.Entry{Key: all[at].Key, Record: all[at].Record.Clone()}
	theirs.Record[0].Value = []byte("zz, which is greater")
	mine := all[at].Record
	for _, e := range []crdt.Record{theirs.Record, mine} {
		_, err := ns.Heal([]crdt.Entry{{Key: theirs.Key, Record: e}}, vector)
		ok(t, err)
		if got := recordAt(t, ns, theirs.Key); string(got[0].Value) != "zz, which is greater" {
			t.Errorf("there is %q", got[0].Value)
		}
	}
}

// A store that lost its newest table shows the older version of a record: it
// gets the newer one, be it a removal, and the healthy side keeps that alone.
func TestHealBringsNoOlderVersionBack(t *testing.T) {
	s, ns, _, _ := healedStore(t)
	write := func(op Op) crdt.Record {
		op.Key = testKey("k")
		_, err := ns.Commit(&Write{Ops: []Op{op}})
		ok(t, err)
		return recordAt(t, ns, op.Key)
	}
	versions := []crdt.Record{write(Op{Value: []byte("1")}), write(Op{Value: []byte("2")})}
	o := s.options
	ok(t, s.Close())
	s, err := Open("db", o) // a later run
	ok(t, err)
	defer s.Close()
	ns, err = s.Namespace("things")
	ok(t, err)
	versions = append(versions, write(Op{Value: []byte("3")}), write(Op{Removed: true}))
	for here, mine := range versions {
		for there, theirs := range versions {
			ok(t, s.engine.DB.Set(ns.records.record(nil, testKey("k")), appendRecord(nil, mine, ns.mustNumber), pebble.NoSync))
			_, err := ns.Heal([]crdt.Entry{{Key: testKey("k"), Record: theirs}}, ns.Vector())
			ok(t, err)
			want := versions[max(here, there)]
			if got := recordAt(t, ns, testKey("k")); !slices.EqualFunc(got, want, func(a, b crdt.Event) bool { return a.Dot == b.Dot }) {
				t.Errorf("version %d with %d of the peer: there is %v, want %v", here+1, there+1, got, want)
			}
		}
	}
}

// What stands beside what its own writer wrote later, on one of both sides, was
// not superseded: Reissue writes so.
func TestHealKeepsWhatWasWrittenAgain(t *testing.T) {
	s, ns, vector, _ := healedStore(t)
	defer s.Close()
	one := recordAt(t, ns, testKey("a"))[0]
	event := func(seq uint64) crdt.Event {
		return crdt.Event{Dot: crdt.Dot{Writer: one.Writer, Seq: seq}, Value: []byte("v")}
	}
	beside := crdt.Record{event(1), event(2)}
	tamper(t, s, ns.records.record(nil, testKey("w")), appendRecord(nil, beside[:1], ns.mustNumber))
	changed, err := ns.Heal([]crdt.Entry{{Key: testKey("w"), Record: beside}}, vector)
	if got := recordAt(t, ns, testKey("w")); err != nil || changed != 1 || len(got) != 2 {
		t.Errorf("there is %v, want %v (%d changed, %v)", got, beside, changed, err)
	}
}

// Once a removal was collected here nothing tells of it: what a peer that has
// not seen it still holds does not come back.
func TestHealHearsNobodyBelowTheFloor(t *testing.T) {
	s, ns, _, _ := healedStore(t)
	defer s.Close()
	_, err := ns.Commit(&Write{Ops: []Op{{Key: testKey("k"), Value: []byte("v")}}})
	ok(t, err)
	peer, theirs := ns.Vector(), recordAt(t, ns, testKey("k"))
	_, err = ns.Commit(&Write{Ops: []Op{{Key: testKey("k"), Removed: true}}})
	ok(t, err)
	ok(t, ns.Sync(context.Background()))
	if done, err := ns.Collect(context.Background(), ns.Past(ns.Vector()), 0); err != nil || done.Removals != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	changed, err := ns.Heal([]crdt.Entry{{Key: testKey("k"), Record: theirs}}, peer)
	if got := recordAt(t, ns, testKey("k")); err != nil || changed != 0 || len(got) != 0 {
		t.Errorf("%d records changed (%v), there is %v", changed, err, got)
	}
}

// What either side has written since is left to deltas, and what nodes drop at
// different times is left alone.
func TestHealLeavesNewsAndWhatFades(t *testing.T) {
	s, ns, vector, all := healedStore(t)
	defer s.Close()
	before := recordAt(t, ns, testKey("a"))
	_, err := ns.Commit(&Write{Ops: []Op{{Key: testKey("a"), Value: []byte("news")}}})
	ok(t, err)
	other := crdt.WriterID{9}
	dot := func(seq uint64) crdt.Dot { return crdt.Dot{Writer: before[0].Writer, Seq: seq} }
	for name, e := range map[string]crdt.Entry{
		"overwritten here": {Key: testKey("a"), Record: before},
		"not covered here": {Key: testKey("x"), Record: crdt.Record{{Dot: crdt.Dot{Writer: other, Seq: 1}, Value: []byte("v")}}},
		"a removal":        {Key: testKey("x"), Record: crdt.Record{{Dot: dot(1), Removed: true}}},
		"what will expire": {Key: testKey("x"), Record: crdt.Record{{Dot: dot(1), Value: []byte("v"), Expires: 5}}},
		"what is here":     all[len(all)-1],
	} {
		if changed, err := ns.Heal([]crdt.Entry{e}, vector); err != nil || changed != 0 {
			t.Errorf("%s: %d records changed (%v)", name, changed, err)
		}
	}
	_, err = ns.Heal([]crdt.Entry{{Key: testKey("x")}}, vector)
	must(t, err, crdt.ErrDelta)
}

// What expires and comes back is found when it has expired, though its entry in
// the index was lost with it.
func TestHealIndexesWhatExpires(t *testing.T) {
	s, ns, _, _ := healedStore(t)
	defer s.Close()
	key, expires := testKey("k"), s.now()+bucketLeast
	_, err := ns.Commit(&Write{Ops: []Op{{Key: key, Value: []byte("stays")}}})
	ok(t, err)
	older := recordAt(t, ns, key)
	_, err = ns.Commit(&Write{Ops: []Op{{Key: key, Value: []byte("expires"), Expires: expires}}})
	ok(t, err)
	theirs := crdt.Entry{Key: key, Record: recordAt(t, ns, key)}
	ok(t, ns.Sync(t.Context()))
	_, err = ns.Collect(t.Context(), ns.Past(ns.Vector()), 0)
	ok(t, err)
	tamper(t, s, ns.records.record(nil, key), appendRecord(nil, older, ns.mustNumber))
	var lost []expiryEntry
	ok(t, ns.scanExpiries(s.engine.DB, ns.expiries.expiring(nil, 0, ""), expires+bucketMost, func(e expiryEntry) bool {
		lost = append(lost, e)
		return true
	}))
	if len(lost) != 1 {
		t.Fatalf("%d entries in the index, want 1", len(lost))
	}
	tamper(t, s, lost[0].raw, nil)
	if changed, err := ns.Heal([]crdt.Entry{theirs}, ns.Vector()); err != nil || changed != 1 {
		t.Fatalf("%d records changed (%v), want 1", changed, err)
	}
	ok(t, s.Check(t.Context()))
	ok(t, ns.Sync(t.Context()))
	done, err := ns.Collect(t.Context(), ns.Past(ns.Vector()), expires+bucketLeast)
	if got := recordAt(t, ns, key); err != nil || done.Expired != 1 || len(got) != 0 {
		t.Errorf("collected %+v (%v), there is %v", done, err, got)
	}
	ok(t, s.Check(t.Context()))
}

// A writer that was ended is an entry like others, also after a restart.
func TestRenewBeginsAnotherWriter(t *testing.T) {
	_, o := checkedStore(t)
	s, err := Open("db", o)
	ok(t, err)
	ns, err := s.Namespace("things")
	ok(t, err)
	ok(t, ns.Renew()) // before it has written
	var dots []crdt.Dot
	for range 2 {
		for range 2 {
			dot, err := ns.Commit(&Write{Ops: []Op{{Key: testKey("r"), Value: []byte("r")}}})
			ok(t, err)
			dots = append(dots, dot)
		}
		ok(t, ns.Renew())
	}
	if dots[0].Writer != dots[1].Writer || dots[1].Writer == dots[2].Writer || dots[3].Seq != 2 {
		t.Errorf("dots %v", dots)
	}
	rec, err := ns.WriterRecord(dots[2].Writer)
	ok(t, err)
	if !slices.Contains(rec.Parents, dots[1]) {
		t.Errorf("parents %v lack %v", rec.Parents, dots[1])
	}
	want := ns.Vector()
	ok(t, ns.Sync(context.Background()))
	ok(t, s.Check(context.Background()))
	ok(t, s.Close())
	s, err = Open("db", o)
	ok(t, err)
	defer s.Close()
	ns, err = s.Namespace("things")
	ok(t, err)
	if got := ns.Vector(); !got.Equal(want) || got[dots[1].Writer] != 2 || got[dots[3].Writer] != 2 {
		t.Errorf("the vector is %v, was %v", got, want)
	}
	ok(t, s.Check(context.Background()))
}
