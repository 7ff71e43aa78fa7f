package replica

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/anabranch-db/anabranch/transport"
)

// diverged are two nodes that have each set the same keys by themselves.
type diverged struct {
	*bootstrap
	reconciles atomic.Int64
}

// apartKeys take more than steppedBytes and steppedKeys, and less than apartBytes.
const apartKeys = 40_000

func openDiverged(t *testing.T) *diverged {
	if testing.Short() {
		t.Skip("-short: it takes seconds under the race detector")
	}
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &diverged{bootstrap: &bootstrap{t: t}}
	o := Options{Logger: slog.New(countReconciles{&d.reconciles, &d.reconciles})}
	d.source, d.node = openLoop(t, authority, o), openLoop(t, authority, o)
	for _, db := range []*DB{d.source, d.node} {
		fillLoop(t, namespaceOf(t, db, "edge"), apartKeys)
	}
	return d
}

// same waits until both hold the same, and compares them.
func (d *diverged) same() {
	d.t.Helper()
	all := []*Namespace{namespaceOf(d.t, d.source, "edge"), namespaceOf(d.t, d.node, "edge")}
	digests := [2]string{}
	for i, ns := range all {
		want := all[1-i].Vector()
		for ev, err := range ns.Watch(d.t.Context(), WatchOptions{}) {
			if err != nil {
				d.t.Fatal(err)
			}
			if ev.Kind == Synced && ns.Vector().CoversAll(want) {
				break
			}
		}
	}
	for i, ns := range all {
		sum, err := ns.Digest(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		digests[i] = fmt.Sprint(sum)
	}
	if digests[0] != digests[1] {
		d.t.Errorf("digests %v", digests)
	}
}

func (d *diverged) link() {
	if err := d.node.AddPeer(d.source.mesh.network.Addr()); err != nil {
		d.t.Fatal(err)
	}
}

// Nodes that have each written as much as the other lacks compare nothing: each
// sends what it has.
func TestNodesThatWroteApartSendWhatTheyHave(t *testing.T) {
	d := openDiverged(t)
	d.link()
	d.same()
	if n := d.reconciles.Load(); n != 0 {
		t.Errorf("%d reconciliations, want none", n)
	}
}

// Where that broke off, what is left goes in steps.
func TestWhatBrokeOffBetweenNodesApartGoesInSteps(t *testing.T) {
	d := openDiverged(t)
	d.link()
	d.until("some of it came", func() bool { return d.received() > 4*loopWindow })
	if namespaceOf(t, d.node, "edge").store.Visible().CoversAll(namespaceOf(t, d.source, "edge").Vector()) {
		t.Fatal("all came before the break")
	}
	if err := d.node.SetOffline(true); err != nil {
		t.Fatal(err)
	}
	d.until("the break is noted", func() bool { return d.source.mesh.breaks.has(breach{d.node.Node(), "edge"}) })
	if err := d.node.SetOffline(false); err != nil {
		t.Fatal(err)
	}
	d.same()
	if n := d.reconciles.Load(); n == 0 {
		t.Error("no reconciliation, want some")
	}
}
