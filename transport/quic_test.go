package transport_test

import (
	"strings"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

func TestFramesArriveWholeAndInOrder(t *testing.T) {
	frames := []string{"a", strings.Repeat("b", 5000), strings.Repeat("c", transport.MaxFrameBytes), "d"}
	exchange := func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{}), w.node(transport.Options{})
		from, to := link(t, a, b)
		for _, ends := range [][2]transport.Link{{from, to}, {to, from}} {
			go func() {
				for _, frame := range frames {
					send(t, ends[0], frame)
				}
			}()
			for _, frame := range frames {
				if got := receive(t, ends[1]); got != frame {
					t.Fatalf("got a frame of %d bytes, want %d", len(got), len(frame))
				}
			}
		}
	}
	t.Run("loopback", func(t *testing.T) { exchange(t, newWorld(t)) })
	t.Run("lossy", func(t *testing.T) {
		bubble(t, simnet.Options{Seed: 1, Loss: 0.02, Jitter: 20 * time.Millisecond}, exchange)
	})
}
