package protocol

import (
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// A peer that announces a namespace anew may ask at once, by what it was told
// before, while a Build for it is still being given up: it gets its delta once
// that has ended.
func TestAWantWhileABuildIsGivenUpIsAnswered(t *testing.T) {
	h := newHolder(t, crdt.Vector{{1}: 1}, 1)
	build := func(effects []Effect) (id JobID) {
		for _, e := range effects {
			if b, ok := e.(Build); ok {
				id = b.Job
			}
		}
		return id
	}
	first := build(h.receive(2, 1, (&want{1}).encode()))
	h.receive(2, 1, (&gone{1}).encode())
	h.receive(2, 1, (&announce{"flat"}).encode())
	h.receive(2, 1, encodeVector(2, 0, nil))
	h.receive(2, 1, (&want{2}).encode())
	effects := h.Step(3, Built{Job: first, Err: crdt.ErrDelta})
	if again := build(effects); first == 0 || again == 0 {
		t.Errorf("job %d, and then %d, in %v", first, again, effects)
	}
}
