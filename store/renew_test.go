package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// A delta brings what a twin wrote as this run's writer: fewer transactions
// than this run has made by the time that it is visible. A writer that ended
// meanwhile would be left with the twin's number on disk, and once its log's
// tail is collected nothing else tells.
func TestARunsWriterDoesNotEndWhileADeltaIsApplied(t *testing.T) {
	for way, stageBytes := range map[string]int{"in memory": 1 << 20, "staged": 1} {
		t.Run(way, func(t *testing.T) {
			f := &fleet{t: t}
			o := f.options(0, vfs.NewMem())
			o.StageBytes = stageBytes
			s := f.openWith(o)
			ns, peer := create(t, s), f.openNamespace(1, vfs.NewMem())
			first := commit(t, ns, set(key("a"), "1"))
			pull(t, peer, ns)
			d := deltaOf(t, peer, nil)
			d.to = crdt.Vector{first.Writer: 2}
			twin := crdt.Event{Dot: crdt.Dot{Writer: first.Writer, Seq: 2}, Time: 5, Value: []byte("of the twin")}
			d.entries = append(d.entries, crdt.Entry{Key: key("twin"), Record: crdt.Record{twin}})
			renewed := make(chan error, 1)
			_, err := d.applyOvertaken(ns, func() {
				for range 3 {
					commit(t, ns, set(key("x"), "of this run"))
				}
				begun := make(chan struct{})
				go func() {
					close(begun)
					renewed <- ns.Renew()
				}()
				<-begun
				for i := range 1000 { // it would get in between two of them
					dot, err := ns.Commit(&store.Write{Ops: []store.Op{set(key("x"), "of this run")}, Buffered: true})
					if err != nil {
						t.Error(err)
					} else if dot.Writer != first.Writer {
						t.Errorf("the writer has ended after %d commits", i)
						break
					}
				}
			})
			if err := errors.Join(err, <-renewed); err != nil {
				t.Fatal(err)
			}
			pull(t, peer, ns)
			commit(t, peer, set(key("x"), "over"))
			pull(t, ns, peer)
			if err := ns.Sync(context.Background()); err != nil {
				t.Fatal(err)
			}
			collect(t, ns, ns.Vector())
			checkStore(t, s)
		})
	}
}
