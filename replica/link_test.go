package replica

import (
	"bytes"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// What a link may hold is no bound on a record: a frame that is greater comes
// alone.
func TestARecordGreaterThanALinkMayHoldComes(t *testing.T) {
	small := func(i int, n *wholeNode) { n.options.Profile = ProfileSmallDevice }
	inBubbleWith(t, 2, simnet.Options{Latency: time.Millisecond}, small, func(f *wholeFleet) {
		great := crdt.NewRegister[[]byte]("great")
		value := bytes.Repeat([]byte("anabranch"), int(profiles[ProfileSmallDevice].linkBytes)/6)
		f.nodes[1].namespace("edge")
		for range 2 { // what the first took is given back
			ns := f.nodes[0].namespace("edge")
			if err := ns.Update(t.Context(), func(tx *Tx) error { return great.Set(tx, value) }); err != nil {
				t.Fatal(err)
			}
			f.converge("edge")
			err := f.nodes[1].namespace("edge").View(t.Context(), func(v *View) error {
				got, err := great.Get(v)
				if !bytes.Equal(got, value) {
					t.Errorf("%d bytes came, of %d", len(got), len(value))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			value = append(value, 'x')
		}
	})
}
