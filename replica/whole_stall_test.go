package replica

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// deaf is a network on which nothing is received while stalled is set.
type deaf struct {
	transport.Network
	stalled *atomic.Bool
}

func (n deaf) Dial(ctx context.Context, address string) (transport.Link, error) {
	l, err := n.Network.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return deafLink{l, n.stalled}, nil
}

type deafLink struct {
	transport.Link
	stalled *atomic.Bool
}

func (l deafLink) Receive(ctx context.Context) ([]byte, error) {
	for l.stalled.Load() && ctx.Err() == nil {
		<-time.After(time.Second)
	}
	return l.Link.Receive(ctx)
}

// waiting returns how many bytes wait for a peer, and whether it is linked.
func (n *wholeNode) waiting(peer *wholeNode) (bytes int, linked bool) {
	m := n.db.mesh
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		if l.peer != peer.identity.Node() {
			continue
		}
		linked = true
		l.outlet.mu.Lock()
		for _, lane := range l.outlet.lanes {
			for _, f := range lane.frames {
				bytes += f.Len() + len(f.rest)
			}
		}
		l.outlet.mu.Unlock()
	}
	return bytes, linked
}

// A peer that stops reading costs a few frames of memory, and nothing else:
// others have all as soon as ever, and in the end it loses the link.
func TestAPeerThatStopsReadingCostsAFewFrames(t *testing.T) {
	var stalled atomic.Bool
	shape := func(i int, n *wholeNode) {
		aroundHub(i, n)
		n.options.MeshLinks = -1
		if i == 1 {
			n.listen = func() (transport.Network, error) {
				e, err := n.fleet.net.Listen(n.identity.Credential(), n.address)
				return deaf{e, &stalled}, err
			}
		}
	}
	inBubbleWith(t, 6, simnet.Options{Latency: 5 * time.Millisecond}, shape, func(f *wholeFleet) {
		hub, slow, healthy := f.nodes[0], f.nodes[1], f.nodes[2:]
		for _, n := range f.nodes {
			n.namespace("edge")
			n.namespace("other")
		}
		f.pass(10 * time.Second)
		stalled.Store(true)
		var most int
		begun := time.Now()
		for i := range 400 {
			hub.write("edge", 100<<10)
			hub.put(wholeValue("another ", i), i, i+1)
			hub.write("other", 10+i)
			f.pass(100 * time.Millisecond)
			for _, n := range healthy {
				for _, name := range []string{"edge", "other"} {
					if !n.namespace(name).Vector().Equal(hub.namespace(name).Vector()) {
						t.Fatalf("%s lags in %s behind what was written 100 ms ago, at write %d", n.address, name, i)
					}
				}
			}
			bytes, _ := hub.waiting(slow)
			most = max(most, bytes)
		}
		// Of 40 MB. In flight is what the network's window holds, beside that.
		if bound := 4*deltaPlaces*300<<10 + 64<<10; most > bound {
			t.Errorf("%d bytes waited for a peer that does not read, more than %d", most, bound)
		}
		t.Logf("at most %d bytes waited for a peer that does not read, of 40 MB", most)
		if _, linked := hub.waiting(slow); !linked || time.Since(begun) > stallTimeout {
			t.Fatal("the link ended before its time")
		}
		f.pass(stallTimeout)
		if bytes, linked := hub.waiting(slow); linked || bytes > 0 {
			t.Errorf("a peer that does not read for %v keeps its link, and %d bytes waiting", stallTimeout, bytes)
		}
		stalled.Store(false)
		f.converge("edge")
		f.converge("other")
	})
}
