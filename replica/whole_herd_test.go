package replica

import (
	"flag"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// How many devices return at once; -whole.herd=1000 takes minutes, and 6 GiB.
var wholeHerd = flag.Int("whole.herd", 40, "how many devices return to a hub at once")

// herdHandshakes is how many handshakes the hub of a herd takes at a time.
const herdHandshakes = 4

// herd has all nodes dial the first, whose network it tells.
func herd(network **transport.QUIC) func(int, *wholeNode) {
	return func(i int, n *wholeNode) {
		o := transport.Options{}
		if i == 0 {
			o.MaxHandshakes = herdHandshakes
		}
		packetsWith(i, n, o)
		n.options.MeshLinks, n.options.Peers = -1, nil
		n.options.MemTableBytes = 256 << 10
		if i > 0 {
			n.options.Peers = []string{packetAddress(0)}
			return
		}
		listen := n.listen
		n.listen = func() (transport.Network, error) {
			q, err := listen()
			*network, _ = q.(*transport.QUIC)
			return q, err
		}
	}
}

// scatter parts the first node from all others, until its links are gone, and
// has each write something.
func (f *wholeFleet) scatter() {
	hub := f.nodes[0]
	hits := crdt.NewCounter("hits")
	for _, n := range f.nodes[1:] {
		f.net.Cut(hub.address, n.address)
	}
	for _, n := range f.nodes {
		n.update("edge", func(tx *Tx) error { return hits.Add(tx, 1) })
	}
	f.pass(time.Minute)
	hub.db.mesh.mu.Lock()
	for _, l := range hub.db.mesh.links {
		_ = l.conn.Close(transport.CodeNone, "")
	}
	hub.db.mesh.mu.Unlock()
	f.pass(time.Second)
}

// A fleet that returns at once does not melt its hub: handshakes and catch-ups
// at a time are bounded, who is refused comes again at a time of its own, and
// all are served soon.
func TestAFleetThatReturnsAtOnceIsServed(t *testing.T) {
	devices := *wholeHerd
	var network *transport.QUIC
	inBubbleWith(t, 1+devices, simnet.Options{Seed: 1, Latency: 40 * time.Millisecond}, herd(&network), func(f *wholeFleet) {
		hub := f.nodes[0]
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(time.Minute)
		f.scatter()
		before := network.Admission()
		for i := 1; i <= devices; i++ {
			f.net.Heal(hub.address, f.nodes[i].address)
		}
		for _, n := range f.nodes[1:] { // all notice at the same time
			if err := n.db.NetworkChanged(); err != nil {
				t.Fatal(err)
			}
		}
		healed := time.Now()
		for _, n := range f.nodes[1:] {
			for !n.linked(hub) && time.Since(healed) < 2*time.Minute {
				f.pass(100 * time.Millisecond)
			}
		}
		linked := time.Since(healed)
		f.converge("edge")
		a, catchups := network.Admission(), hub.db.mesh.turns.most.Load()
		t.Logf("%d devices are back after %v, level after %v: at most %d handshakes and %d catch-ups at a time, %d refused",
			devices, linked, time.Since(healed), a.MostHandshakes, catchups, a.Refused-before.Refused)
		if a.MostHandshakes > herdHandshakes || a.Refused == before.Refused {
			t.Errorf("at most %d handshakes at a time, %d refused", a.MostHandshakes, a.Refused-before.Refused)
		}
		if catchups > maxTurns {
			t.Errorf("at most %d catch-ups at a time", catchups)
		}
		if most := 10*time.Second + time.Duration(devices)*time.Second/4; linked > most {
			t.Errorf("the last device was linked after %v, more than %v", linked, most)
		}
	})
}
