package replica

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// twins makes of the first two nodes of a fleet one process and a copy of it:
// the same node, run and state. They are resumed beside each other.
func twins(f *wholeFleet) {
	for i, n := range f.nodes {
		n.shut()
		n.options.MeshLinks = -1 // they never meet but through the third
		n.options.Peers = []string{f.nodes[2].address}
		if i == 2 {
			n.options.Peers = nil
			n.open()
			n.namespace("edge")
			continue
		}
		n.identity = f.nodes[0].identity
		// The writer was drawn before the copy was made; what the kernel
		// gives later is not the same.
		n.options.Random = io.MultiReader(bytes.NewReader(bytes.Repeat([]byte{0x77}, 16)), rand.Reader)
		n.open()
		if err := n.db.SetOffline(true); err != nil {
			f.t.Fatal(err)
		}
		n.namespace("edge")
	}
	for _, n := range f.nodes[:2] { // no time passes: both do the same
		n.update("edge", func(tx *Tx) error { return passes.Add(tx, 5) })
		n.update("edge", func(tx *Tx) error { return setKey(tx, "shared", "shared") })
	}
	if !f.nodes[0].namespace("edge").Vector().Equal(f.nodes[1].namespace("edge").Vector()) {
		f.t.Fatal("the twins are none")
	}
}

// writeOwn has a node write keys of its own, and count.
func (n *wholeNode) writeOwn(prefix string, keys int) {
	n.fleet.t.Helper()
	for i := range keys {
		n.update("edge", func(tx *Tx) error { return setKey(tx, fmt.Sprintf("%s%d", prefix, i), prefix) })
	}
}

func (n *wholeNode) count() (sum int64) {
	n.fleet.t.Helper()
	err := n.namespace("edge").View(context.Background(), func(v *View) (err error) {
		sum, err = passes.Get(v)
		return err
	})
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return sum
}

// checkTwins checks that every node has all that either twin wrote.
func checkTwins(f *wholeFleet, prefix string, a, b int) {
	f.t.Helper()
	for _, n := range f.nodes {
		err := n.namespace("edge").View(context.Background(), func(v *View) error {
			for who, keys := range map[string]int{"a": a, "b": b} {
				for i := range keys {
					key := fmt.Sprintf("%s%s%d", prefix, who, i)
					if got, err := crdt.NewRegister[string](key).Get(v); got != prefix+who {
						f.t.Errorf("%s: %s is %q (%v)", n.address, key, got, err)
					}
				}
			}
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// A process that was resumed from a copy of its memory, beside the original, is
// noticed when both have met a third: whoever wrote more, and whoever comes
// first, all that either wrote is everywhere in the end, and what they count
// from then on counts for both.
func TestTwinsAreNoticedAndLoseNothing(t *testing.T) {
	for _, tc := range []struct {
		name  string
		a, b  int // keys that each wrote before they met the other's
		order []int
	}{
		{"the first wrote more", 5, 3, []int{0, 1}},
		{"the second wrote more", 3, 5, []int{0, 1}},
		{"both wrote as much", 4, 4, []int{0, 1}},
		{"at once", 4, 4, nil},
		{"one wrote nothing", 4, 0, []int{1, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, 3, simnet.Options{}, func(f *wholeFleet) {
				twins(f)
				f.nodes[0].writeOwn("1a", tc.a)
				f.nodes[1].writeOwn("1b", tc.b)
				for _, i := range tc.order {
					f.nodes[i].db.SetOffline(false)
					f.pass(time.Minute)
				}
				f.nodes[0].db.SetOffline(false)
				f.nodes[1].db.SetOffline(false)
				f.pass(6 * time.Hour)
				f.converge("edge")
				checkTwins(f, "1", tc.a, tc.b)
				noticed := slices.Concat(f.nodes[0].noticed(), f.nodes[1].noticed())
				if !slices.Contains(noticed, NoticeTwin) && !slices.Contains(noticed, NoticeDiverged) {
					t.Errorf("nothing was noticed: %v", noticed)
				}
				if sum := f.nodes[2].count(); sum != 5 {
					t.Errorf("what both had counted before is %d", sum)
				}
				for i, n := range f.nodes[:2] {
					n.update("edge", func(tx *Tx) error { return passes.Add(tx, int64(10*(i+1))) })
				}
				f.nodes[0].writeOwn("2a", 2)
				f.nodes[1].writeOwn("2b", 2)
				f.pass(time.Minute)
				f.converge("edge")
				checkTwins(f, "2", 2, 2)
				if sum := f.nodes[2].count(); sum != 35 {
					t.Errorf("the counter is %d, want 35", sum)
				}
				quiet := len(slices.Concat(f.nodes[0].noticed(), f.nodes[1].noticed(), f.nodes[2].noticed()))
				f.pass(24 * time.Hour)
				if now := len(slices.Concat(f.nodes[0].noticed(), f.nodes[1].noticed(), f.nodes[2].noticed())); now != quiet {
					t.Errorf("%d more notices in a day, of nothing", now-quiet)
				}
			})
		})
	}
}
