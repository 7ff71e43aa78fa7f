package store_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// What becomes visible next has the number of a commit that failed. Readers
// that remember hear of what it writes, and a transaction does not conflict
// with the one that failed.
func TestACommitAfterOneThatFailed(t *testing.T) {
	for way, test := range map[string]struct {
		stageBytes int
		next       func(t *testing.T, ns, from *store.Namespace)
	}{
		"a commit":       {0, func(t *testing.T, ns, _ *store.Namespace) { commit(t, ns, set(numbered(1), "new")) }},
		"a delta":        {0, func(t *testing.T, ns, from *store.Namespace) { pull(t, ns, from) }},
		"a staged delta": {1, func(t *testing.T, ns, from *store.Namespace) { pull(t, ns, from) }},
	} {
		t.Run(way, func(t *testing.T) {
			f := &fleet{t: t}
			o := f.options(0, vfs.NewMem())
			o.StageBytes = test.stageBytes
			s := f.openWith(o)
			ns, from := create(t, s), f.openNamespace(1, vfs.NewMem())
			commit(t, ns, set(numbered(2), "old"))
			commit(t, from, set(numbered(1), "new"))
			span := crdt.Span{From: numbered(0), To: numbered(100)}
			before := snapshot(t, ns)
			defer before.Close()
			before.Remember(span, foldOf(t, before, span), 10)

			_, err := ns.CommitExclusive(func(*store.Snapshot) (*store.Write, error) {
				s.SetFull(true)
				return &store.Write{Ops: []store.Op{set(numbered(2), "not written")}}, nil
			})
			if !errors.Is(err, store.ErrDiskFull) {
				t.Fatal(err)
			}
			s.SetFull(false)
			test.next(t, ns, from)

			now := snapshot(t, ns)
			defer now.Close()
			if got, ok := follow(t, now, span); ok && !maps.Equal(got, foldOf(t, now, span)) {
				t.Errorf("recalled %q, read %q", got, foldOf(t, now, span))
			}
			if test.stageBytes > 0 {
				return // of so many keys a transaction conflicts with any
			}
			reads := &store.ReadSet{}
			reads.Key(numbered(2))
			w := &store.Write{Ops: []store.Op{set(numbered(3), "x")}, Reads: reads, Snapshot: before.Number()}
			if _, err := ns.Commit(w); err != nil {
				t.Error(err)
			}
			reads.Key(numbered(1))
			if _, err := ns.Commit(w); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%v, want a conflict", err)
			}
		})
	}
}
