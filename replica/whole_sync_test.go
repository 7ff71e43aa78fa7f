package replica

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

func TestAWriteReachesPeersAtOnce(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: 10 * time.Millisecond}, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(time.Second)
		set(t, f.nodes[0], 7)
		// One way takes 10 ms: a push arrives, and nobody had to ask for it.
		f.pass(11 * time.Millisecond)
		for _, n := range f.nodes {
			if got := get(t, n); got != 7 {
				t.Errorf("%s has %d one way after the write", n.address, got)
			}
		}
	})
}

// A delta is of a snapshot that shows all that is visible: it waits until that
// is on disk, or a power cut would take a dot back that peers have.
func TestNothingIsSentBeforeItsFsync(t *testing.T) {
	slow := func(i int, n *wholeNode) { n.options.BufferedSync = time.Hour }
	inBubbleWith(t, 2, simnet.Options{Latency: time.Millisecond}, slow, func(f *wholeFleet) {
		a, b := f.nodes[0], f.nodes[1]
		f.net.Cut(a.address, b.address)
		b.namespace("edge")
		set(t, a, 7)
		err := a.namespace("edge").UpdateWith(context.Background(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
			return theRegister.Set(tx, 8)
		})
		if err != nil {
			t.Fatal(err)
		}
		f.net.Heal(a.address, b.address)
		f.pass(10 * time.Minute)
		if got := get(t, b); got == 8 {
			t.Error("a peer has what a power cut would take from its writer")
		}
		if err := a.namespace("edge").Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		f.converge("edge")
		if got := get(t, b); got != 8 {
			t.Errorf("the peer has %d once it is on disk", got)
		}
	})
}

func TestStateTravelsThroughAnIntermediary(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		f.net.Cut(f.nodes[0].address, f.nodes[2].address)
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		set(t, f.nodes[0], 7)
		f.converge("edge")
		if got := get(t, f.nodes[2]); got != 7 {
			t.Errorf("the far node has %d", got)
		}
	})
}

func TestARelayPassesOnPromptly(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		f.net.Cut(f.nodes[0].address, f.nodes[2].address)
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(time.Second)
		// What is told to be had, is had on disk: else the far node asks in
		// vain, and each time waits longer to ask again.
		for i := 1; i <= 50; i++ {
			set(t, f.nodes[2*(i%2)], i)
			f.pass(100 * time.Millisecond)
			for _, n := range f.nodes {
				if got := get(t, n); got != i {
					t.Fatalf("%s has %d, 100 ms after %d was written two links away", n.address, got, i)
				}
			}
		}
	})
}

func TestOfflineNodesKeepWorkingAndRejoin(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(time.Second)
		for _, n := range f.nodes {
			if err := n.db.SetOffline(true); err != nil {
				t.Fatal(err)
			}
		}
		f.pass(time.Second)
		if peers, err := f.nodes[0].db.Peers(); err != nil || len(peers) != 1 || !peers[0].Connected.IsZero() {
			t.Fatalf("peers of an offline node: %+v, %v", peers, err)
		}
		hits := crdt.NewCounter("hits")
		for _, n := range f.nodes {
			n.update("edge", func(tx *Tx) error { return hits.Add(tx, 5) })
		}
		f.pass(time.Minute)
		if f.level("edge") {
			t.Fatal("offline nodes synced")
		}
		for _, n := range f.nodes {
			if err := n.db.SetOffline(false); err != nil {
				t.Fatal(err)
			}
		}
		f.converge("edge")
		err := f.nodes[1].namespace("edge").View(context.Background(), func(v *View) error {
			if n, err := hits.Get(v); err != nil || n != 10 {
				t.Errorf("hits = %d, %v", n, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestANamespaceThatComesLaterIsSynced(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		f.pass(time.Second)
		set(t, f.nodes[0], 7) // makes the namespace there
		f.pass(time.Second)
		f.nodes[1].namespace("edge")
		f.converge("edge")
		if err := f.nodes[1].db.Drop("edge"); err != nil {
			t.Fatal(err)
		}
		set(t, f.nodes[0], 8)
		f.pass(time.Second)
		f.nodes[1].namespace("edge")
		f.converge("edge")
		if got := get(t, f.nodes[1]); got != 8 {
			t.Errorf("dropped and held again, it has %d", got)
		}
	})
}

func TestARevokedNodeIsOut(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(time.Second)
		// Said at one node, passed on to the other.
		rev := f.authority.Revoke(f.nodes[2].identity.Node(), time.Now())
		f.nodes[0].db.mesh.revoked(rev)
		f.pass(time.Minute)
		set(t, f.nodes[0], 7)
		f.pass(time.Minute)
		if get(t, f.nodes[1]) != 7 {
			t.Error("a member did not get a write")
		}
		if get(t, f.nodes[2]) != 0 {
			t.Error("a revoked node got a write")
		}
		f.nodes[1].restart()
		if !f.nodes[1].db.roster.revoked(f.nodes[2].identity.Node()) {
			t.Error("a revocation did not survive a restart")
		}
	})
}

func TestAMemberWithoutAGrantChangesNothing(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		limited, err := f.authority.Enroll(nil, transport.Grants{Read: []string{"*"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.nodes[1].db.Close(); err != nil {
			t.Fatal(err)
		}
		f.nodes[1].identity = limited
		f.nodes[1].open()
		set(t, f.nodes[0], 7)
		f.converge("edge")
		err = f.nodes[1].namespace("edge").Update(context.Background(), func(tx *Tx) error { return theRegister.Set(tx, 8) })
		if !errors.Is(err, ErrNotGranted) {
			t.Errorf("a write without a grant: %v", err)
		}
		// A node that does not keep to it.
		f.nodes[1].db.identity = f.nodes[0].identity
		set(t, f.nodes[1], 8)
		f.pass(time.Minute)
		if got := get(t, f.nodes[0]); got != 7 {
			t.Errorf("a node without a grant to write made it %d", got)
		}
	})
}

func TestRemovedPeersAreNotDialed(t *testing.T) {
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		a, b := f.nodes[0], f.nodes[1]
		f.pass(time.Second)
		if err := a.db.RemovePeer(b.address); err != nil {
			t.Fatal(err)
		}
		if err := b.db.RemovePeer(a.address); err != nil {
			t.Fatal(err)
		}
		if err := b.db.RemovePeer(a.address); !errors.Is(err, crdt.ErrMissing) {
			t.Errorf("removing a peer twice: %v", err)
		}
		f.pass(time.Minute)
		if peers, err := a.db.Peers(); err != nil || len(peers) != 0 {
			t.Errorf("peers: %+v, %v", peers, err)
		}
		if err := a.db.AddPeer(b.address); err != nil {
			t.Fatal(err)
		}
		set(t, a, 7)
		b.namespace("edge")
		f.converge("edge")
	})
}

var theRegister = crdt.NewRegister[int]("r")

func set(t *testing.T, n *wholeNode, value int) {
	t.Helper()
	n.update("edge", func(tx *Tx) error { return theRegister.Set(tx, value) })
}

// get returns the register's value, 0 if there is none.
func get(t *testing.T, n *wholeNode) (value int) {
	t.Helper()
	err := n.namespace("edge").View(context.Background(), func(v *View) (err error) {
		value, err = theRegister.Get(v)
		if errors.Is(err, crdt.ErrMissing) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}
