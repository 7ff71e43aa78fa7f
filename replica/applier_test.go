package replica

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// received is an applier that nobody runs, and a delta for it: one transaction
// of another node, of which nothing is left.
type received struct {
	*applier
	to crdt.Vector
}

func newReceived(t *testing.T, fs vfs.FS) received {
	t.Helper()
	db, err := Open("db", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // it returns the fault of a sick disk
	from := openNamespace(t)
	put(t, from, "x", "k")
	rec, err := from.store.WriterRecord(from.store.Writer())
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh{ctx: t.Context(), log: slog.New(slog.DiscardHandler)}
	m.inbox.ready = make(chan struct{}, 1)
	a := &applier{mesh: m, store: namespaceOf(t, db, "ns").store, deltas: map[protocol.LinkID]*delta{}}
	if err := a.store.Learn([]*crdt.WriterRecord{rec}); err != nil {
		t.Fatal(err)
	}
	return received{a, from.store.Visible().Normal()}
}

// noRecords is the body of a frame without any.
func noRecords() []byte { return crdt.AppendArray(crdt.AppendArray(nil, 0), 0) }

// take has the delta applied in one frame, and returns what the machine is told.
func (r received) take(job protocol.JobID, epoch uint64, body []byte) []protocol.Event {
	r.apply(&protocol.Apply{
		Job: job, Link: 1, Namespace: r.store, Epoch: epoch, First: true, Last: true, Body: body, To: r.to,
	})
	told, _, _ := r.mesh.inbox.take()
	return told
}

// What the machine is told, peers are: a delta whose fsync fails is not said to
// be here, though it can be read.
func TestADeltaIsToldOnceItIsOnDisk(t *testing.T) {
	var sick atomic.Bool
	failed := errors.New("the disk is sick")
	r := newReceived(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if sick.Load() {
				return failed
			}
		}
		return nil
	})))
	sick.Store(true)
	told := r.take(1, 1, noRecords())
	if len(told) != 1 {
		t.Fatalf("the machine is told %v", told)
	}
	if ev := told[0].(protocol.Applied); !errors.Is(ev.Err, store.ErrHalted) || ev.Durable.CoversAll(r.to) {
		t.Errorf("the machine is told that %v is on disk (%v)", ev.Durable.Normal(), ev.Err)
	}
	if !r.store.Visible().CoversAll(r.to) {
		t.Error("the delta was not applied at all")
	}
}

// A delta builds on the ones before it: once one has failed, those that were
// sent for the same epoch are not applied.
func TestADeltaBehindOneThatFailedIsNotApplied(t *testing.T) {
	r := newReceived(t, vfs.NewMem())
	told := r.take(1, 1, []byte("no block"))
	if len(told) != 1 || told[0].(protocol.Applied).Err == nil {
		t.Fatalf("of a malformed delta the machine is told %v", told)
	}
	if told := r.take(2, 1, noRecords()); len(told) != 0 || !r.store.Visible().Empty() {
		t.Errorf("the delta behind it: the machine is told %v, and it covers %v", told, r.store.Visible().Normal())
	}
	told = r.take(3, 2, noRecords())
	if len(told) != 1 || told[0].(protocol.Applied).Err != nil || !told[0].(protocol.Applied).Durable.CoversAll(r.to) {
		t.Errorf("of one for the next epoch the machine is told %v", told)
	}
}
