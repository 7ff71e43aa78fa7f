package replica

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/transport/simnet"
)

// copyOf adds a node that is a copy of another one as it stands, made while
// that runs: with its identity, and all that is in its files.
func (f *wholeFleet) copyOf(n *wholeNode, peers ...string) *wholeNode {
	f.t.Helper()
	return f.startCopy(n, n.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))}), peers...)
}

// startCopy adds a node with the identity of another, and that disk.
func (f *wholeFleet) startCopy(n *wholeNode, disk *vfs.MemFS, peers ...string) *wholeNode {
	f.t.Helper()
	twin := &wholeNode{
		fleet: f, identity: n.identity, address: fmt.Sprintf("node%d:1", len(f.nodes)), disk: disk, options: n.options,
	}
	twin.options.Peers = peers
	f.nodes = append(f.nodes, twin)
	twin.open()
	return twin
}

// linksMade returns how many links the node has had.
func (n *wholeNode) linksMade() int {
	n.db.mesh.mu.Lock()
	defer n.db.mesh.mu.Unlock()
	return int(n.db.mesh.lastID)
}

// copies returns how many instances of a node it says are there.
func (n *wholeNode) copies(of *wholeNode) int {
	n.fleet.t.Helper()
	s, err := n.db.Status()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	for _, c := range s.Copies {
		if c.Node == of.identity.Node() {
			return c.Instances
		}
	}
	return 1
}

// Copies of one device are linked with a hub at the same time, and with each
// other, and no link displaces another.
func TestCopiesOfOneDeviceAreLinkedSideBySide(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		hub, device := f.nodes[0], f.nodes[1]
		device.put("before", 0, 10)
		f.converge("edge")
		if n := hub.copies(device); n != 1 {
			t.Errorf("of one device there are %d instances", n)
		}
		twin := f.copyOf(device, hub.address)
		third := f.copyOf(device, hub.address, twin.address)
		f.pass(time.Second)
		hubMade, twinMade := hub.linksMade(), twin.linksMade()
		for i := range 60 {
			device.put(fmt.Sprint("device", i), 0, 1)
			twin.put(fmt.Sprint("twin", i), 1, 2)
			third.put(fmt.Sprint("third", i), 2, 3)
			f.pass(time.Second)
		}
		f.converge("edge")
		for _, n := range f.nodes {
			n.holds("device59", 0, 1)
			n.holds("twin59", 1, 2)
			n.holds("third59", 2, 3)
		}
		if n := hub.linksMade() - hubMade; n > 0 {
			t.Errorf("links of the hub came up %d times within a minute", n)
		}
		if n := twin.linksMade() - twinMade; n > 0 {
			t.Errorf("links between copies came up %d times within a minute", n)
		}
		if hub, twin := hub.copies(device), twin.copies(device); hub != 3 || twin != 2 {
			t.Errorf("the hub says that there are %d, want 3; a copy says %d, want 2", hub, twin)
		}
	})
}

// A node that starts again is no copy, even while a link of before is not known
// to be dead.
func TestARestartIsNoCopy(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		hub, device := f.nodes[0], f.nodes[1]
		hub.options.Peers = nil
		hub.restart()
		f.pass(time.Second)
		hub.namespace("edge")
		for i := range 5 {
			device.put(fmt.Sprint(i), 0, 1)
			f.pass(time.Second)
			device.cutPower()
			f.pass(10 * time.Second)
			if n := hub.copies(device); n != 1 {
				t.Errorf("restart %d: %d instances", i, n)
			}
		}
		f.converge("edge")
	})
}

// The address of a copy is dialed even while another copy is linked: nobody
// else may be able to reach it.
func TestACopyThatCannotDialIsDialed(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		hub, device := f.nodes[0], f.nodes[1]
		device.put("before", 0, 10)
		f.converge("edge")
		twin := f.copyOf(device)
		if err := hub.db.AddPeer(twin.address); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Second)
		f.net.Break(hub.address, twin.address)
		twin.put("twin", 0, 1)
		f.converge("edge")
		if err := hub.db.RemovePeer(twin.address); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Second)
		if n := hub.copies(device); n != 1 {
			t.Errorf("%d instances are linked after one was removed", n)
		}
		device.put("device", 0, 1)
		f.pass(time.Second)
		hub.holds("device", 0, 1)
		twin.holds("twin", 0, 1)
	})
}

// A node that has met a copy of itself, and knows where that is, tells others
// where it is itself, once: what it tells is taken, and no link ends over it.
func TestANodeThatMetItsCopyIsUnderstood(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		hub, device, third := f.nodes[0], f.nodes[1], f.nodes[2]
		device.put("before", 0, 10)
		f.converge("edge")
		f.copyOf(device, hub.address, device.address)
		f.pass(20 * time.Second)
		if device.db.mesh.book.at("node3:1") != device.identity.Node() {
			t.Fatal("it does not know where the copy is")
		}
		var said strings.Builder
		third.options.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
		third.restart() // and is told of all again
		f.pass(5 * time.Minute)
		if err := third.db.Close(); err != nil {
			t.Fatal(err)
		}
		third.db = nil
		if strings.Contains(said.String(), "closing a link") {
			t.Errorf("what was told broke the protocol:\n%s", &said)
		}
	})
}
