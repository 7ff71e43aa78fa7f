package replica

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// differ has a node hold a value that its peers have lost: they cover the
// transaction, and have nothing there.
func (n *wholeNode) differ(key crdt.Key) {
	n.fleet.t.Helper()
	ns := n.namespace("edge").store
	event := crdt.Event{Dot: crdt.Dot{Writer: ns.Writer(), Seq: 1}, Value: crdt.AppendString(nil, "here")}
	if changed, err := ns.Heal([]crdt.Entry{{Key: key, Record: crdt.Record{event}}}, ns.Vector()); err != nil || changed != 1 {
		n.fleet.t.Fatal(changed, err)
	}
}

// diverged returns the peers with which a node is known to differ.
func (n *wholeNode) diverged() []crdt.NodeID {
	n.fleet.t.Helper()
	s, err := n.db.Status()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return s.Namespaces[0].Diverged
}

// What one of two nodes has lost comes back, in a quiet namespace and in one
// that is written all the time, and then nothing is said to differ any more.
func TestADifferenceIsHealed(t *testing.T) {
	for name, every := range map[string]time.Duration{"quiet": time.Hour, "busy": 5 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, simnet.Options{Latency: 10 * time.Millisecond}, func(f *wholeFleet) {
				whole, lossy := f.nodes[0], f.nodes[1]
				lossy.namespace("edge")
				whole.put("value", 0, 10)
				f.converge("edge")
				key, err := crdt.MakeKey(crdt.Path{"lost"}, crdt.TypeRegister, "")
				if err != nil {
					t.Fatal(err)
				}
				whole.differ(key)
				for end := time.Now().Add(6 * time.Hour); time.Now().Before(end); f.pass(every) {
					f.nodes[time.Now().Unix()/5%2].put("more", 0, 1)
				}
				f.converge("edge")
				err = lossy.namespace("edge").View(context.Background(), func(v *View) error {
					got, err := crdt.NewRegister[string]("lost").Get(v)
					if got != "here" {
						t.Errorf("what was lost is %q", got)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
				if got := lossy.noticed(); !slices.Contains(got, NoticeHealed) {
					t.Errorf("notices %v", got)
				}
				for _, n := range f.nodes {
					if got := n.diverged(); len(got) > 0 {
						t.Errorf("%s still differs from %v", n.address, got)
					}
				}
			})
		})
	}
}
