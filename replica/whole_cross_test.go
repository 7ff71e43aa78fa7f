package replica

import (
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/transport/simnet"
)

// Two nodes that dial each other meet by one link: who has one by the other's
// dialing begins no attempt of its own any more, which would take the place of
// that link in the middle of what goes over it. Nor does it if it never dialed
// that node in this run.
func TestTwoThatDialEachOtherMeetByOneLink(t *testing.T) {
	for name, between := range map[string]func(f *wholeFleet){
		"for a second": func(*wholeFleet) {},
		"and one starts again": func(f *wholeFleet) {
			f.nodes[1].restart()
		},
		"and the other does": func(f *wholeFleet) {
			f.nodes[0].restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, simnet.Options{Latency: 5 * time.Millisecond}, func(f *wholeFleet) {
				a, b := f.nodes[0], f.nodes[1]
				f.pass(10 * time.Second)
				f.net.Cut(a.address, b.address)
				f.pass(300 * time.Millisecond) // else both dial at once
				between(f)
				f.pass(time.Second)
				before := []int{a.linksMade(), b.linksMade()}
				f.net.Heal(a.address, b.address)
				f.pass(time.Minute)
				if made := []int{a.linksMade() - before[0], b.linksMade() - before[1]}; made[0] != 1 || made[1] != 1 {
					t.Errorf("they made %d links", made)
				}
				for _, n := range f.nodes {
					peers, err := n.db.Peers()
					if err != nil || len(peers) != 1 || peers[0].Connected.IsZero() || peers[0].Failure != nil || !peers[0].Configured {
						t.Errorf("%s has the peers %+v, %v", n.address, peers, err)
					}
				}
			})
		})
	}
}
