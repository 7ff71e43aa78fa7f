package store_test

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// siblings returns a record of n concurrent events of one writer, as no node
// that keeps the rules makes it: n writers take long to sign.
func siblings(w crdt.WriterID, n int) crdt.Record {
	rec := make(crdt.Record, n)
	for i := range rec {
		rec[i] = crdt.Event{Dot: crdt.Dot{Writer: w, Seq: uint64(i + 1)}, Time: 1, Value: []byte{}}
	}
	return rec
}

// What together would be a record longer than can be read again is refused, by
// whatever way it comes, and the store goes on with what it has.
func TestARecordNeverGrowsBeyondWhatCanBeRead(t *testing.T) {
	for _, stageBytes := range []int{1, 64 << 20} { // staged, and in memory
		f := &fleet{t: t}
		o := f.options(1, vfs.NewMem())
		o.StageBytes = stageBytes
		ns := create(t, f.openWith(o))
		many, one := crdt.WriterID{1}, crdt.WriterID{2}
		if err := ns.Learn([]*crdt.WriterRecord{writerOf(2, many), writerOf(3, one)}); err != nil {
			t.Fatal(err)
		}
		full := crdt.Entry{Key: numbered(1), Record: siblings(many, crdt.MaxSiblings)}
		toFull := crdt.Vector{many: crdt.MaxSiblings}
		finish := func(to crdt.Vector, overtake func(), parts ...crdt.Entry) error {
			in := ns.Begin()
			for _, e := range parts {
				if err := in.Add(e); err != nil {
					return err
				}
			}
			_, err := in.FinishOvertaken(to, nil, overtake)
			return err
		}
		refused := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, crdt.ErrDelta) {
				t.Errorf("%s: error %v", what, err)
			}
		}
		long := siblings(many, crdt.MaxSiblings+1)
		refused("in two parts", finish(crdt.Vector{many: crdt.MaxSiblings + 1}, func() {},
			crdt.Entry{Key: numbered(1), Record: long[:1000]}, crdt.Entry{Key: numbered(1), Record: long[1000:]}))
		refused("with a commit meanwhile", finish(toFull, func() { commit(t, ns, set(numbered(1), "own")) }, full))
		commit(t, ns, store.Op{Key: numbered(1), Removed: true}, set(numbered(2), "x"))
		if got := state(t, ns); len(got) != 3 {
			t.Errorf("it holds %q", got)
		}
		full.Key = numbered(3)
		if err := finish(toFull, func() {}, full); err != nil {
			t.Fatal(err)
		}
		more := crdt.Entry{Key: numbered(3), Record: siblings(one, 1)}
		refused("beside what is there", finish(crdt.Vector{one: 1}, func() {}, more))
		if n := len(get(t, ns, numbered(3))); n != crdt.MaxSiblings {
			t.Errorf("it has %d values", n)
		}
		if err := ns.Sync(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
