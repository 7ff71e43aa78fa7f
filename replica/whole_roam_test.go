package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// onPackets has a node use QUIC on a simulated packet network.
func onPackets(i int, n *wholeNode) {
	packetsWith(i, n, transport.Options{})
}

func packetsWith(i int, n *wholeNode, o transport.Options) {
	n.address = packetAddress(i)
	n.options.Peers = nil
	for j := range n.fleet.nodes {
		if j != i {
			n.options.Peers = append(n.options.Peers, packetAddress(j))
		}
	}
	n.listen = func() (transport.Network, error) {
		socket, err := n.fleet.net.ListenPacket(n.address)
		if err != nil {
			return nil, err
		}
		o := o
		o.Conn, o.KeepAlive = socket, defaultKeepAlive
		o.Doubts = func() {
			if n.db != nil && n.db.mesh != nil {
				n.db.doubts()
			}
		}
		return transport.Listen(n.identity, o)
	}
}

func packetAddress(i int) string { return fmt.Sprintf("10.0.%d.%d:1", i/200, 1+i%200) }

// soon lets time pass until the node has a value, and returns how long it took.
func (n *wholeNode) soon(t *testing.T, value int) time.Duration {
	t.Helper()
	began := time.Now()
	for range 600 {
		if get(t, n) == value {
			return time.Since(began)
		}
		n.fleet.pass(50 * time.Millisecond)
	}
	t.Fatalf("%s has %d and not %d after %v", n.address, get(t, n), value, time.Since(began))
	return 0
}

// From Wi-Fi to LTE: the node has another address, and nothing comes by the
// old one. Its peer can reach it, and it its peer, within a second.
func TestANodeThatMovesIsBackWithinASecond(t *testing.T) {
	for _, outage := range []time.Duration{0, 3 * time.Second, 40 * time.Second, 20 * time.Minute} {
		t.Run(outage.String(), func(t *testing.T) {
			inBubbleWith(t, 2, simnet.Options{Latency: 40 * time.Millisecond}, onPackets, func(f *wholeFleet) {
				a, b := f.nodes[0], f.nodes[1]
				if err := b.db.RemovePeer(a.address); err != nil { // b cannot dial it
					t.Fatal(err)
				}
				for _, n := range f.nodes {
					n.namespace("edge")
				}
				f.pass(10 * time.Second)
				f.net.Cut(a.address, b.address)
				set(t, b, 7) // the node that moves has nothing to say
				f.pass(outage)
				if err := f.net.Rebind(a.address, "10.9.0.1:1"); err != nil {
					t.Fatal(err)
				}
				if err := a.db.NetworkChanged(); err != nil {
					t.Fatal(err)
				}
				if took := a.soon(t, 7); took > time.Second {
					t.Errorf("it took %v", took)
				}
				set(t, a, 8)
				if took := b.soon(t, 8); took > time.Second {
					t.Errorf("it took %v the other way", took)
				}
			})
		})
	}
}

// A network that comes back without a word, where the device notices nothing,
// is found within a second, or a tenth of how long it was away.
func TestASilentNetworkIsNoticedToBeBack(t *testing.T) {
	for _, outage := range []time.Duration{3 * time.Second, 9 * time.Second, time.Minute, 30 * time.Minute} {
		t.Run(outage.String(), func(t *testing.T) {
			inBubbleWith(t, 2, simnet.Options{Latency: 40 * time.Millisecond}, onPackets, func(f *wholeFleet) {
				a, b := f.nodes[0], f.nodes[1]
				for _, n := range f.nodes {
					n.namespace("edge")
				}
				f.pass(10 * time.Second)
				f.net.Cut(a.address, b.address)
				set(t, a, 7)
				f.pass(outage)
				f.net.Heal(a.address, b.address)
				if took := b.soon(t, 7); took > max(time.Second, min(outage/10, lastRetry)) {
					t.Errorf("it took %v", took)
				}
				f.pass(time.Minute)
				// And there is one link, which is not in doubt.
				for _, n := range f.nodes {
					peers, err := n.db.Peers()
					if err != nil || len(peers) != 1 || peers[0].Connected.IsZero() || peers[0].Doubted {
						t.Errorf("%s has peers %+v, %v", n.address, peers, err)
					}
				}
			})
		})
	}
}

// A peer that left its old address for good is dialed at the other one before
// the old link is given up.
func TestAPeerIsDialedBesideALinkInDoubt(t *testing.T) {
	inBubbleWith(t, 2, simnet.Options{Latency: 10 * time.Millisecond}, onPackets, func(f *wholeFleet) {
		a, b := f.nodes[0], f.nodes[1]
		if err := b.db.RemovePeer(a.address); err != nil {
			t.Fatal(err)
		}
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(10 * time.Second)
		if err := f.net.Rebind(b.address, "10.9.0.2:1"); err != nil {
			t.Fatal(err)
		}
		if err := a.db.AddPeer("10.9.0.2:1"); err != nil {
			t.Fatal(err)
		}
		set(t, b, 7)
		if err := a.db.NetworkChanged(); err != nil {
			t.Fatal(err)
		}
		if took := a.soon(t, 7); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// Somebody else may be at a peer's address by now: who is there is asked
// before the old link is given up.
func TestAnAddressIsDialedBesideItsLinkInDoubt(t *testing.T) {
	inBubbleWith(t, 3, simnet.Options{Latency: 10 * time.Millisecond}, onPackets, func(f *wholeFleet) {
		a, b, c := f.nodes[0], f.nodes[1], f.nodes[2]
		for _, remove := range []struct {
			at   *wholeNode
			peer string
		}{{a, c.address}, {b, a.address}, {b, c.address}, {c, a.address}, {c, b.address}} {
			if err := remove.at.db.RemovePeer(remove.peer); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(time.Minute)
		set(t, c, 7)
		for _, move := range [][2]string{{b.address, "10.9.0.2:1"}, {c.address, b.address}} {
			if err := f.net.Rebind(move[0], move[1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.db.NetworkChanged(); err != nil {
			t.Fatal(err)
		}
		if took := a.soon(t, 7); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
