package sim_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/sim"
)

// noCopies is an App that does nothing, and fails where there is a copy.
type noCopies struct{}

func (noCopies) Act(*sim.Node, *sim.Draw) error { return nil }

func (noCopies) Settled(nodes []*sim.Node) error {
	for _, n := range nodes {
		if strings.HasSuffix(n.Name(), "'") {
			return errors.New("there is a copy")
		}
	}
	return nil
}

// What a failure does not need is taken out of its plan, and what is left fails
// in the same way, also from what was written down.
func TestAPlanThatFailsIsMadeSmall(t *testing.T) {
	newApp := func() sim.App { return noCopies{} }
	for seed := uint64(1); ; seed++ {
		p := sim.NewPlan(seed, sim.Faults)
		if _, err := sim.Run(p, newApp(), nil); err == nil {
			continue
		}
		small, failure := sim.Shrink(p, newApp)
		if failure == nil || failure.Check != "app" || len(small.Happenings) != 1 || small.Happenings[0].Kind != sim.Clone {
			t.Fatalf("seed %d: %+v fails with %v", seed, small, failure)
		}
		text, err := small.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var read sim.Plan
		if err := read.UnmarshalText(text); err != nil {
			t.Fatal(err)
		}
		if _, err := sim.Run(&read, newApp(), nil); err == nil || err.Error() != failure.Error() {
			t.Errorf("read again it fails with %v, not %v", err, failure)
		}
		return
	}
}

// onlyOnce is an App of an embedder: the first node that sees no leader writes
// itself, and in the end all name one of those that did.
type onlyOnce struct{ claimed map[string]bool }

var leader = crdt.NewRegister[string]("leader")

func (a *onlyOnce) Act(n *sim.Node, _ *sim.Draw) error {
	if len(n.Namespaces()) == 0 {
		return nil
	}
	_, err := n.Update(n.Namespaces()[0], func(tx crdt.Tx) error {
		_, err := leader.Get(tx)
		if !errors.Is(err, crdt.ErrMissing) {
			return err
		}
		a.claimed[n.Name()] = true
		return leader.Set(tx, n.Name())
	})
	return err
}

func (a *onlyOnce) Settled(nodes []*sim.Node) error {
	for _, n := range nodes {
		if len(n.Namespaces()) == 0 {
			continue
		}
		err := n.View(n.Namespaces()[0], func(v crdt.View) error {
			name, err := leader.Get(v)
			switch {
			case errors.Is(err, crdt.ErrMissing):
				return nil // who claimed it has lost its disk
			case err == nil && !a.claimed[name]:
				return errors.New("a leader that never claimed to be")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAnEmbeddersAppRunsOnEveryNode(t *testing.T) {
	claims := 0
	for seed := range uint64(100) {
		app := &onlyOnce{claimed: map[string]bool{}}
		if _, err := sim.Run(sim.NewPlan(seed+1, sim.Faults), app, nil); err != nil {
			t.Fatal(err)
		}
		claims = max(claims, len(app.claimed))
	}
	if claims < 2 {
		t.Error("two parted nodes never claimed it both")
	}
}
