package transport

import (
	"strings"
	"testing"
)

func TestFramesArriveWholeAndInOrder(t *testing.T) {
	w := newWorld(t)
	a, b := w.node(Options{}), w.node(Options{})
	from, to := link(t, a, b)
	if from.Peer().Node != b.identity.Node() || to.Peer().Node != a.identity.Node() {
		t.Errorf("the ends see %s and %s", from.Peer().Node, to.Peer().Node)
	}
	for _, frame := range []string{"a", strings.Repeat("b", 5000), strings.Repeat("c", MaxFrameBytes), "d"} {
		go send(t, from, frame)
		if got := receive(t, to); got != frame {
			t.Fatalf("got a frame of %d bytes, want %d", len(got), len(frame))
		}
		go send(t, to, frame)
		if got := receive(t, from); got != frame {
			t.Fatalf("got a frame of %d bytes, want %d", len(got), len(frame))
		}
	}
}
