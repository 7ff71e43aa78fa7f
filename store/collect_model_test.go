package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// visibleAt returns what can be read of the model at a time, as visibleAt does
// of a store.
func (m *model) visibleAt(at int64) (lines []string) {
	for k, rec := range m.records {
		if rec := rec.At(at).Visible(); len(rec) > 0 {
			lines = append(lines, fmt.Sprintf("%q %x", k, crdt.AppendCanonical(nil, rec)))
		}
	}
	slices.Sort(lines)
	return append(lines, fmt.Sprintf("%x", crdt.AppendVector(nil, m.vector)))
}

// collect collects what some earlier vector covers, or all, and of what expires
// what did by some time.
func (w *world) collect(t *rapid.T) {
	n := rapid.IntRange(0, 2).Draw(t, "store")
	w.past[n] = append(w.past[n], w.ns[n].Vector())
	expired := drawExpiry(t)
	collectExpired(t, w.ns[n], rapid.SampledFrom(w.past[n]).Draw(t, "removable"), expired)
	w.expired = max(w.expired, expired)
}

// drawExpiry returns a time at which something expires, or 0.
func drawExpiry(t *rapid.T) int64 { return rapid.Int64Range(0, 4).Draw(t, "expiry") << 10 }

// pullAbove is pull, but for peers that are below the sender's floor.
func (w *world) pullAbove(t *rapid.T) {
	from := rapid.IntRange(0, 2).Draw(t, "from")
	to := (from + rapid.IntRange(1, 2).Draw(t, "to")) % 3
	w.past[to] = append(w.past[to], w.ns[to].Vector())
	since := rapid.SampledFrom(w.past[to]).Draw(t, "since")
	d, err := tryDeltaOf(t, w.ns[from], since)
	if errors.Is(err, store.ErrBelowFloor) {
		return
	}
	sent := w.models[from].clone()
	overtake := rapid.Bool().Draw(t, "the receiver commits meanwhile")
	_, err = d.applyOvertaken(w.ns[to], func() {
		if overtake {
			w.commitTo(t, to)
		}
	})
	switch {
	case errors.Is(err, store.ErrBelowFloor) && len(since) == 0: // it holds something by now
	case err != nil:
		t.Fatal(err)
	default:
		w.models[to].merge(sent)
	}
}

// Whatever is collected, where and when, is read as if nothing ever was.
func TestAnyHistoryWithCollectionsIsReadAsWithout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newCollectingWorld(t)
		defer w.close()
		t.Repeat(w.actions(nil))
		w.checkAll(t)
	})
}
