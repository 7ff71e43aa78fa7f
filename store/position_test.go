package store

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/crdt"
)

func TestTheDurablePositionIsOneThatWasVisible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := history{visible: position{foreign: &crdt.Past{}}, durable: position{foreign: &crdt.Past{}}}
		seen := []crdt.Vector{h.visible.past().Expand()} // by commit
		t.Repeat(map[string]func(*rapid.T){
			"own": func(*rapid.T) {
				d := h.visible.own
				d.Writer[15], d.Seq = max(d.Writer[15], 1), d.Seq+1
				h.commitOwn(d)
				seen = append(seen, h.visible.past().Expand())
			},
			"foreign": func(t *rapid.T) {
				foreign, own := h.visible.foreign.Clone(), h.visible.own
				foreign.Advance(crdt.WriterID{1}, foreign.Seq(crdt.WriterID{1})+1)
				if own.Seq > 0 && rapid.IntRange(0, 9).Draw(t, "twin") == 0 {
					foreign.Advance(own.Writer, own.Seq+1)
					own = crdt.Dot{Writer: crdt.WriterID{15: own.Writer[15] + 1}}
				}
				h.commitForeign(foreign, own, nil)
				seen = append(seen, h.visible.past().Expand())
			},
			"sync": func(t *rapid.T) {
				before := h.durable.commit
				commit := uint64(rapid.IntRange(0, len(seen)-1).Draw(t, "commit"))
				if news := h.sync(commit); news != (commit > before) {
					t.Fatalf("sync(%d) after %d: %v", commit, before, news)
				}
			},
			"": func(t *rapid.T) {
				if h.visible.commit != uint64(len(seen)-1) {
					t.Fatalf("commit %d of %d", h.visible.commit, len(seen)-1)
				}
				if got := h.durable.past().Expand(); !got.Equal(seen[h.durable.commit]) {
					t.Fatalf("durable at %d is %v, visible was %v", h.durable.commit, got, seen[h.durable.commit])
				}
			},
		})
	})
}
