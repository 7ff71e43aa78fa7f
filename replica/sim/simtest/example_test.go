package simtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/replica/sim/sweep"
)

// desired is the version of a model that devices are to run. While the fleet is
// parted several may be promoted, and then all of them are there.
var desired = crdt.NewMultiValue[int64]("model", "desired")

// decide is the embedder's own merge of what was promoted in parted fleets: no
// device is taken back to an older model.
func decide(versions []int64) int64 { return slices.Max(versions) }

// rollout runs on every node: it promotes a version now and then, and settles
// what others promoted meanwhile.
type rollout struct{ promoted map[int64]bool }

func newRollout() sim.App { return &rollout{promoted: map[int64]bool{}} }

// Act implements sim.App. What it does on a node follows from what is read there
// and from d.
func (r *rollout) Act(n *sim.Node, d *sim.Draw) error {
	for _, name := range n.Namespaces() {
		_, err := n.Update(name, func(tx crdt.Tx) error {
			versions, err := desired.Get(tx)
			switch {
			case errors.Is(err, crdt.ErrMissing):
				versions = []int64{0}
			case err != nil:
				return err
			}
			next := decide(versions)
			if len(versions) == 1 || d.In(500) {
				next += int64(1 + d.IntN(3))
			}
			r.promoted[next] = true
			return desired.Set(tx, next)
		})
		if err != nil {
			return err // ErrReadOnly is no failure
		}
	}
	return nil
}

// Settled implements sim.App: whatever happened, in the end all nodes decide for
// the same version, and for one that was promoted.
func (r *rollout) Settled(nodes []*sim.Node) error {
	decided := map[string]int64{}
	for _, n := range nodes {
		for _, name := range n.Namespaces() {
			var versions []int64
			err := n.View(name, func(v crdt.View) (err error) {
				versions, err = desired.Get(v)
				return err
			})
			switch {
			case errors.Is(err, crdt.ErrMissing), !n.Whole(name):
				continue // whoever promoted something has lost its disk
			case err != nil:
				return err
			}
			version := decide(versions)
			if other, found := decided[name]; found && other != version {
				return fmt.Errorf("%s runs version %d, and others %d", n.Name(), version, other)
			}
			if decided[name] = version; !r.promoted[version] {
				return fmt.Errorf("%s runs version %d, which nobody promoted", n.Name(), version)
			}
		}
	}
	return nil
}

// An App of one's own in a hundred worlds. In a test, simtest.Run does this, and
// says how to see a failure again.
func Example() {
	done, err := sweep.Run(context.Background(), sweep.Options{
		First: 1, Count: 100, Faults: sim.Faults, NewApp: newRollout,
	})
	if err != nil {
		fmt.Println(err)
	}
	for _, f := range done.Failures {
		fmt.Println(f)
	}
	fmt.Println("worlds:", done.Worlds, "failures:", len(done.Failures))
	// Output: worlds: 100 failures: 0
}
