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

// A Want that comes while a compare is answered that the peer does not wait for
// any more is answered once that has ended, well or not.
func TestAWantBehindAnEndedHealIsAnswered(t *testing.T) {
	for _, err := range []error{nil, errDisk} {
		p := newHealPair(t, true)
		mine, peer := p.sides[0], p.sides[1]
		p.pass(DigestDelayMillis)
		peer.send(encodeCompare(1, p.session(0).heal.serves, nil))
		p.deliver()
		p.finish(1, false, nil)
		peer.send((&want{1}).encode())
		p.deliver()
		if len(mine.serves) != 1 || len(mine.builds) != 0 {
			t.Fatalf("%d answers and %d builds before the answer ended", len(mine.serves), len(mine.builds))
		}
		p.step(mine, Served{Job: mine.serves[0].Job, Err: err})
		if len(mine.builds) != 1 {
			t.Errorf("%d builds after it ended with %v, want 1", len(mine.builds), err)
		}
	}
}
