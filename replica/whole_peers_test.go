package replica

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// hubAndSpokes has all nodes but the first dial the first, and nobody else.
func hubAndSpokes(i int, n *wholeNode) {
	n.options.Peers = nil
	if i > 0 {
		n.options.Peers = []string{n.fleet.nodes[0].address}
	}
}

// natted is a network behind a NAT: where it listens nobody can reach it, and
// where it is seen nobody can dial it.
type natted struct {
	transport.Network
	inside string
}

func (n natted) Addr() string { return n.inside }

// behindNAT puts a node behind a NAT that lets nothing in.
func (n *wholeNode) behindNAT() {
	n.listen = func() (transport.Network, error) {
		endpoint, err := n.fleet.net.Listen(n.identity.Credential(), n.address)
		return natted{endpoint, "inside " + n.address}, err
	}
}

// linked reports whether two nodes have a link.
func (n *wholeNode) linked(o *wholeNode) bool {
	n.fleet.t.Helper()
	peers, err := n.db.Peers()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Node == o.identity.Node() && !p.Connected.IsZero() {
			return true
		}
	}
	return false
}

// Two nodes that know each other through a third connect, and do so again when
// the third is gone for good, after a restart too.
func TestNodesMeetThroughAThird(t *testing.T) {
	inBubbleWith(t, 3, simnet.Options{Latency: time.Millisecond}, hubAndSpokes, func(f *wholeFleet) {
		hub, a, b := f.nodes[0], f.nodes[1], f.nodes[2]
		f.pass(5 * time.Second)
		if !a.linked(b) || !b.linked(a) {
			t.Fatal("two nodes with one hub are not linked")
		}
		peers, err := a.db.Peers()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range peers {
			want := OriginConfigured
			if p.Node == b.identity.Node() {
				want = OriginLearned
			}
			if p.Origin != want && p.Origin != "" || p.SeenAs != a.address {
				t.Errorf("peer %+v", p)
			}
		}
		if err := hub.db.Close(); err != nil {
			t.Fatal(err)
		}
		hub.db = nil
		f.nodes = f.nodes[1:]
		for _, n := range f.nodes {
			n.restart()
		}
		set(t, a, 7)
		b.namespace("edge")
		f.converge("edge")
		if !a.linked(b) {
			t.Error("after a restart they are not linked")
		}
	})
}

// It is enough that one of two can be reached; and one that cannot be is told
// of to nobody.
func TestANodeBehindANATIsNotAdvertised(t *testing.T) {
	change := func(i int, n *wholeNode) {
		hubAndSpokes(i, n)
		if i != 0 && i != 3 {
			n.behindNAT()
		}
	}
	inBubbleWith(t, 4, simnet.Options{Latency: time.Millisecond}, change, func(f *wholeFleet) {
		hub, a, b, open := f.nodes[0], f.nodes[1], f.nodes[2], f.nodes[3]
		f.pass(time.Minute)
		if !a.linked(open) || !b.linked(open) {
			t.Error("nodes behind NATs did not dial one that can be reached")
		}
		if a.linked(b) {
			t.Error("a node behind a NAT was dialed")
		}
		for _, n := range []*wholeNode{hub, open, a, b} {
			for _, c := range n.db.mesh.book.known() {
				if strings.Contains(c.address, "inside") || c.address == a.address || c.address == b.address {
					t.Errorf("%s knows %+v", n.address, c)
				}
			}
		}
	})
}

// A hub of many devices does not make a full mesh of them.
func TestAFleetIsNoFullMesh(t *testing.T) {
	const devices = 24
	inBubbleWith(t, devices+1, simnet.Options{Latency: time.Millisecond}, hubAndSpokes, func(f *wholeFleet) {
		f.pass(2 * time.Minute)
		links, most := 0, 0
		for _, n := range f.nodes[1:] {
			dialed := 0
			n.db.mesh.mu.Lock()
			for _, l := range n.db.mesh.links {
				if l.conn.Dialed() {
					dialed++
				}
			}
			links += len(n.db.mesh.links)
			n.db.mesh.mu.Unlock()
			if most = max(most, dialed); dialed > DefaultMeshLinks {
				t.Errorf("%s dialed %d others", n.address, dialed)
			}
		}
		t.Logf("%d devices have %d links, at most %d dialed by one", devices, links, most)
		if links < devices*DefaultMeshLinks || links > 3*devices*DefaultMeshLinks {
			t.Errorf("%d devices have %d links", devices, links)
		}
		// And they are one fleet without the hub.
		if err := f.nodes[0].db.Close(); err != nil {
			t.Fatal(err)
		}
		f.nodes[0].db = nil
		f.nodes = f.nodes[1:]
		set(t, f.nodes[0], 7)
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.converge("edge")
	})
}

func TestWithoutMeshLinksNobodyIsSought(t *testing.T) {
	change := func(i int, n *wholeNode) {
		hubAndSpokes(i, n)
		n.options.MeshLinks = -1
	}
	inBubbleWith(t, 4, simnet.Options{Latency: time.Millisecond}, change, func(f *wholeFleet) {
		f.pass(time.Minute)
		for _, n := range f.nodes[1:] {
			if peers, err := n.db.Peers(); err != nil || len(peers) != 1 {
				t.Errorf("%s has %+v, %v", n.address, peers, err)
			}
		}
	})
}

// Whom the operator removed does not come back by way of others.
func TestARemovedPeerIsNotLearnedAgain(t *testing.T) {
	inBubbleWith(t, 3, simnet.Options{Latency: time.Millisecond}, hubAndSpokes, func(f *wholeFleet) {
		hub, a, b := f.nodes[0], f.nodes[1], f.nodes[2]
		f.pass(5 * time.Second)
		if err := a.db.RemovePeer(b.address); err != nil {
			t.Fatal(err)
		}
		for _, n := range []*wholeNode{hub, a, b} {
			f.pass(time.Minute)
			if a.linked(b) || b.linked(a) {
				t.Fatal("a removed peer is linked")
			}
			n.restart()
			if n == b { // which knows nothing of it any more
				break
			}
		}
		if err := a.db.AddPeer(b.address); err != nil {
			t.Fatal(err)
		}
		f.pass(10 * time.Second)
		if !a.linked(b) {
			t.Error("a peer that was added again is not linked")
		}
	})
}

// A fleet that meets once more says nothing of addresses that was said.
func TestAddressesAreNotToldTwice(t *testing.T) {
	inBubbleWith(t, 3, simnet.Options{Latency: time.Millisecond}, hubAndSpokes, func(f *wholeFleet) {
		hub, a := f.nodes[0], f.nodes[1]
		f.pass(time.Minute)
		before := hub.lastTold(a)
		if before.IsZero() {
			t.Fatal("nothing was told at all")
		}
		for i := range 5 {
			f.net.Break(hub.address, a.address)
			f.pass(10 * time.Second)
			if got := hub.lastTold(a); got != before || !hub.linked(a) {
				t.Errorf("reconnect %d: told again at %v", i, got)
			}
			if peers, err := a.db.Peers(); err != nil || len(peers) != 2 || peers[0].SeenAs != a.address {
				t.Errorf("peers %+v, %v", peers, err)
			}
		}
		hub.restart() // and has forgotten whom it told
		f.pass(10 * time.Second)
		if got := hub.lastTold(a); !got.After(before) {
			t.Errorf("last told at %v", got)
		}
	})
}

// lastTold returns when the node told a peer of addresses.
func (n *wholeNode) lastTold(peer *wholeNode) (at time.Time) {
	done := make(chan struct{})
	n.db.mesh.inbox.ask(func() {
		defer close(done)
		for r, t := range n.db.mesh.told {
			if r.node == peer.identity.Node() {
				at = t.at
			}
		}
	})
	<-done
	return at
}

// What a hostile member tells is bounded, and soon forgotten.
func TestHearsayIsBounded(t *testing.T) {
	b := newBook([32]byte{1}, "192.0.2.1:7600")
	now := time.Unix(1_000_000, 0)
	met := func(i int) string { return fmt.Sprintf("198.51.100.%d:1", i) }
	for i := range 20 {
		b.met(met(i), [32]byte{2, byte(i)}, 3, now)
	}
	for i := range 10_000 {
		b.learn([32]byte{9, byte(i % 9)}, whereabouts([32]byte{3, byte(i), byte(i >> 8)}, fmt.Sprintf("203.0.%d.%d:1", i>>8, i&255)), false, now)
	}
	if n := len(b.all); n != maxCandidates {
		t.Errorf("%d addresses are remembered", n)
	}
	for i := range 20 {
		if b.at(met(i)) != [32]byte{2, byte(i)} {
			t.Errorf("%s was crowded out", met(i))
		}
	}
	tries := 0
	for range 100_000 {
		c, wait := b.next(now, func(*candidate) bool { return true })
		if c == nil {
			if wait == 0 {
				break
			}
			now = now.Add(wait)
			continue
		}
		tries++
		b.failed(c, errSilent, now)
		if len(b.all) <= 20 {
			break
		}
	}
	if len(b.all) > 20 || tries > hearsayTries*maxCandidates+20*20 {
		t.Errorf("%d are left after %d tries", len(b.all), tries)
	}
	// Those that were met are forgotten when they fail for long.
	for now := now; len(b.all) > 0; {
		c, wait := b.next(now, func(*candidate) bool { return true })
		if c == nil {
			now = now.Add(wait)
			continue
		}
		if now.Sub(time.Unix(1_000_000, 0)) > keepCandidates+24*time.Hour {
			t.Fatalf("%+v is remembered", c)
		}
		now = now.Add(time.Hour)
		b.failed(c, errSilent, now)
	}
}

func TestWhatCannotBeDialedIsNotLearned(t *testing.T) {
	b := newBook([32]byte{1}, "192.0.2.1:7600")
	b.isOwn([]string{"192.0.2.1:7600"})
	now := time.Unix(1_000_000, 0)
	for _, place := range []string{
		"", "x", "hub.example:7600", "127.0.0.1:1", "[::1]:1", "0.0.0.0:1", "224.0.0.1:1", "169.254.1.1:1", "[fe80::1%eth0]:1", "10.0.0.1:0",
		"10.0.0.1", "255.255.255.255:1", "192.0.2.1:7600", "10.0.0.1:1\n",
	} {
		b.learn([32]byte{9}, whereabouts([32]byte{3}, place), false, now)
		if len(b.all) != 0 {
			t.Errorf("%q was learned", place)
			clear(b.all)
		}
	}
	b.learn([32]byte{9}, whereabouts([32]byte{3}, "127.0.0.1:1"), true, now)
	b.learn([32]byte{9}, whereabouts([32]byte{3}, "[2001:db8::1]:1"), false, now)
	old := whereabouts([32]byte{4}, "10.0.0.1:1")
	old.AgeSeconds = 1 << 60
	b.learn([32]byte{9}, old, false, now)
	own := whereabouts([32]byte{1}, "10.0.0.2:1")
	b.learn([32]byte{9}, own, false, now)
	if len(b.all) != 2 {
		t.Errorf("%d addresses were learned", len(b.all))
	}
}

// lanOf is a local network that tells every node of every address, and of some
// where nobody is, once a minute.
type lanOf struct{ addresses []string }

func (l lanOf) Discover(ctx context.Context, self Announcement, found func(string)) error {
	for {
		for _, a := range l.addresses {
			found(a)
		}
		select {
		case <-time.After(time.Minute):
		case <-self.Changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// What is discovered is dialed, and nothing else is believed of it.
func TestDiscoveredNodesAreDialed(t *testing.T) {
	lan := lanOf{[]string{"node0:1", "node1:1", "node2:1", "nobody:1"}}
	change := func(_ int, n *wholeNode) {
		n.options.Peers, n.options.Discovery = nil, lan
	}
	inBubbleWith(t, 3, simnet.Options{Latency: time.Millisecond}, change, func(f *wholeFleet) {
		f.pass(20 * time.Second)
		for i, n := range f.nodes {
			for _, o := range f.nodes[:i] {
				if !n.linked(o) || !o.linked(n) {
					t.Errorf("%s and %s are not linked", n.address, o.address)
				}
			}
		}
		peers, err := f.nodes[0].db.Peers()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range peers {
			if p.Origin != OriginDiscovered && p.Origin != "" || p.Configured {
				t.Errorf("peer %+v", p)
			}
		}
		f.pass(time.Hour)
		set(t, f.nodes[0], 7)
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.converge("edge")
	})
}

// An address that is not heard of any more is forgotten.
func TestWhatIsDiscoveredExpires(t *testing.T) {
	b := newBook([32]byte{1}, "192.0.2.1:7600")
	now := time.Unix(1_000_000, 0)
	b.found("10.0.0.2:1", now)
	b.found("10.0.0.3:1", now)
	b.found("127.0.0.1", now)
	b.found("10.0.0.3:1", now.Add(keepDiscovered))
	if c, _ := b.next(now.Add(keepDiscovered+time.Second), func(*candidate) bool { return true }); c == nil || c.address != "10.0.0.3:1" {
		t.Errorf("next is %+v", c)
	}
	if n := len(b.all); n != 1 {
		t.Errorf("%d are remembered", n)
	}
}
