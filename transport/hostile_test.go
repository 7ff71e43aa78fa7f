package transport_test

import (
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// A member that breaks a rule and comes back at once is refused, with the code
// and at last at its first packet; others link meanwhile, and so does it once
// it has paid.
func TestAMemberThatBreaksARuleIsKeptOut(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		n, enemy := w.node(transport.Options{}), w.node(transport.Options{})
		for range 5 {
			from, to := link(t, enemy, n)
			to.Close(transport.CodeForged, "a record that nobody signed")
			wantEnd(t, from, transport.CodeForged, true)
			_, err := enemy.Dial(soon(t), n.Addr())
			wantError(t, err, transport.CodeForged)
			<-time.After(40 * time.Second)
		}
		before := n.Admission().KeptOut
		for range 50 {
			if l, err := enemy.Dial(soon(t), n.Addr()); err == nil {
				l.Close(transport.CodeNone, "")
				accept(t, n)
			}
		}
		if n.Admission().KeptOut <= before {
			t.Error("nobody was refused")
		}
		from, to := link(t, w.node(transport.Options{}), n)
		exchange(t, from, to)
	})
}
