package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// repair repairs a node that is closed, and opens it.
func (n *wholeNode) repair() Repaired {
	n.fleet.t.Helper()
	done, err := Repair(context.Background(), "db", RepairOptions{FS: n.disk, Identity: n.identity})
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	n.open()
	return done
}

// shut closes a node.
func (n *wholeNode) shut() {
	n.fleet.t.Helper()
	if err := n.db.Close(); err != nil {
		n.fleet.t.Fatal(err)
	}
	n.db = nil
}

var (
	tags   = crdt.NewSet[string](crdt.AddWins, "tags")
	passes = crdt.NewCounter("passes")
	valve  = crdt.NewFlag(crdt.EnableWins, "valve")
)

// partedWrites has two nodes write with each other, then apart, the first of
// them in two runs; it is closed then.
func partedWrites(f *wholeFleet) {
	mine, other := f.nodes[0], f.nodes[1]
	other.namespace("edge")
	mine.writeKeys(0, 100)
	mine.update("edge", func(tx *Tx) error { return errors.Join(passes.Add(tx, 5), valve.Set(tx, true), tags.Add(tx, "z")) })
	other.update("edge", func(tx *Tx) error { return errors.Join(tags.Add(tx, "x"), tags.Add(tx, "y"), passes.Add(tx, 100)) })
	f.converge("edge")
	other.shut()
	mine.update("edge", func(tx *Tx) error {
		_, err := tags.Remove(tx, "x") // what only the other wrote
		return errors.Join(err, passes.Add(tx, 2), valve.Set(tx, false), setKey(tx, "both", "mine"), setKey(tx, "mine", "mine"))
	})
	mine.restart()
	mine.update("edge", func(tx *Tx) error { return errors.Join(passes.Add(tx, 1), setKey(tx, "mine", "mine again")) })
	mine.shut()
	other.open()
	f.pass(time.Second)
	other.update("edge", func(tx *Tx) error {
		_, err := tags.Remove(tx, "z")
		return errors.Join(err, passes.Add(tx, 10), setKey(tx, "both", "later"), setKey(tx, "other", "other"))
	})
}

func setKey(tx *Tx, key, value string) error { return crdt.NewRegister[string](key).Set(tx, value) }

// checkParted reads what partedWrites wrote.
func checkParted(n *wholeNode) (lacking []string) {
	n.fleet.t.Helper()
	expect := func(what string, got, want any, err error) {
		if fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
			lacking = append(lacking, fmt.Sprintf("%s is %v (%v), want %v", what, got, err, want))
		}
	}
	err := n.namespace("edge").View(context.Background(), func(v *View) error {
		for key, want := range map[string]string{"both": "later", "mine": "mine again", "other": "other"} {
			got, err := crdt.NewRegister[string](key).Get(v)
			expect(key, got, want, err)
		}
		sum, err := passes.Get(v)
		expect("the counter", sum, 118, err)
		open, err := valve.Enabled(v)
		expect("the flag", open, false, err)
		var in []string
		for e, err := range tags.All(v) {
			if err != nil {
				return err
			}
			in = append(in, e)
		}
		slices.Sort(in)
		expect("the set", in, []string{"y"}, nil)
		return nil
	})
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	return lacking
}

// A node whose MANIFEST is damaged is repaired: what it had written and nobody
// had got is written again, what it had seen and overwritten stays so, and so
// does what others have overwritten meanwhile. Counters are exact.
func TestARepairedNodeLosesNothingThatCanBeRead(t *testing.T) {
	inBubble(t, 2, simnet.Options{}, func(f *wholeFleet) {
		partedWrites(f)
		mine, other := f.nodes[0], f.nodes[1]
		mine.flip("MANIFEST-"+manifestOf(mine), 0.4)
		o := mine.options
		o.FS, o.Identity, o.Peers = mine.disk, mine.identity, nil
		if _, err := Open("db", o); !errors.Is(err, ErrDamaged) {
			t.Fatalf("Open: %v", err)
		}
		done := mine.repair()
		if done.Records == 0 || done.Lost > 0 || done.Reissued > 0 {
			t.Errorf("%+v", done)
		}
		f.pass(10 * time.Second)
		f.converge("edge")
		for _, n := range []*wholeNode{mine, other} {
			if lacking := checkParted(n); len(lacking) > 0 {
				t.Errorf("at %s: %q", n.address, lacking)
			}
		}
		if got := mine.noticed(); !slices.Contains(got, NoticeRepaired) {
			t.Errorf("notices %v", got)
		}
		for range 3 { // and nothing of it comes again
			mine.restart()
			f.pass(10 * time.Second)
		}
		f.converge("edge")
		if lacking := checkParted(mine); len(lacking) > 0 {
			t.Errorf("after restarts: %q", lacking)
		}
	})
}

// manifestOf returns the number of the MANIFEST that counts.
func manifestOf(n *wholeNode) (last string) {
	names, err := n.disk.List("db/data")
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	for _, name := range names {
		if len(name) == len("MANIFEST-000000") && name[:9] == "MANIFEST-" {
			last = max(last, name[9:])
		}
	}
	return last
}

// Whatever is lost of a store, its peers lose nothing by its repair.
func TestARepairTakesNothingFromPeers(t *testing.T) {
	for _, part := range []float64{0.05, 0.3, 0.6, 0.9} {
		inBubble(t, 2, simnet.Options{}, func(f *wholeFleet) {
			partedWrites(f)
			mine, other := f.nodes[0], f.nodes[1]
			mine.open() // its log becomes a table
			mine.namespace("edge")
			mine.db.SetOffline(true)
			mine.shut()
			mine.flip(".sst", part)
			done, err := Repair(context.Background(), "db", RepairOptions{FS: mine.disk, Identity: mine.identity})
			if err != nil {
				t.Fatal(err)
			}
			mine.open()
			f.pass(10 * time.Second)
			f.converge("edge")
			if done.Aside == "" {
				t.Errorf("at %v nothing was found", part)
			}
			err = other.namespace("edge").View(context.Background(), func(v *View) error {
				sum, err := passes.Get(v)
				if sum != 118 && sum != 117 && sum != 115 {
					t.Errorf("at %v the counter is %d", part, sum)
				}
				for i := range 100 {
					if _, e := crdt.NewRegister[string]("key", fmt.Sprintf("%04d", i)).Get(v); e != nil {
						err = errors.Join(err, e)
					}
				}
				got, e := crdt.NewRegister[string]("other").Get(v)
				if got != "other" {
					t.Errorf("other is %q", got)
				}
				return errors.Join(err, e)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A device without peers is repaired by what it has itself.
func TestARepairWithoutPeers(t *testing.T) {
	inBubble(t, 1, simnet.Options{}, func(f *wholeFleet) {
		n := f.nodes[0]
		n.writeKeys(0, 50)
		n.update("edge", func(tx *Tx) error { return passes.Add(tx, 3) })
		n.shut()
		n.flip("MANIFEST-"+manifestOf(n), 0.4)
		done, err := Repair(context.Background(), "db", RepairOptions{FS: n.disk, Identity: n.identity, Alone: true})
		if err != nil || done.Reissued != 51 {
			t.Fatalf("%+v, %v", done, err)
		}
		n.open()
		n.update("edge", func(tx *Tx) error { return passes.Add(tx, 1) })
		err = n.namespace("edge").View(context.Background(), func(v *View) error {
			if sum, err := passes.Get(v); err != nil || sum != 4 {
				t.Errorf("the counter is %d (%v)", sum, err)
			}
			_, err := crdt.NewRegister[string]("key", "0049").Get(v)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// What was written again, and a node that was away has all the same, is one:
// nothing counts twice, also the first amount of a run.
func TestWhatIsWrittenAgainCountsOnce(t *testing.T) {
	inBubble(t, 3, simnet.Options{}, func(f *wholeFleet) {
		mine, other, away := f.nodes[0], f.nodes[1], f.nodes[2]
		other.namespace("edge")
		away.namespace("edge")
		mine.update("edge", func(tx *Tx) error { return passes.Add(tx, 5) })
		f.converge("edge")
		other.shut()
		mine.restart()
		mine.update("edge", func(tx *Tx) error { return setKey(tx, "mine", "mine") })
		mine.update("edge", func(tx *Tx) error { return passes.Add(tx, 2) }) // not the run's first transaction
		f.pass(time.Second)
		away.shut() // with what the other has not got
		mine.shut()
		other.open()
		mine.flip("MANIFEST-"+manifestOf(mine), 0.4)
		mine.repair()
		f.pass(10 * time.Second)
		if got := mine.noticed(); !slices.Contains(got, NoticeRepaired) {
			t.Fatalf("notices %v", got)
		}
		if sum := other.count(); sum != 7 {
			t.Errorf("before the third is back the counter is %d, want 7", sum)
		}
		away.open()
		f.converge("edge")
		mine.update("edge", func(tx *Tx) error { return passes.Add(tx, 1) })
		f.converge("edge")
		for _, n := range f.nodes {
			if sum := n.count(); sum != 8 {
				t.Errorf("%s: the counter is %d, want 8", n.address, sum)
			}
		}
	})
}

// A peer that has less than the damaged store had of others, as a newborn one,
// ends no repair: what a third has removed and overwritten stays so. Alone ends
// the wait.
func TestANewbornPeerEndsNoRepair(t *testing.T) {
	for _, alone := range []bool{false, true} {
		inBubble(t, 3, simnet.Options{}, func(f *wholeFleet) {
			newborn := f.nodes[2]
			newborn.shut()
			f.nodes = f.nodes[:2]
			partedWrites(f)
			f.nodes = f.nodes[:3]
			mine, other := f.nodes[0], f.nodes[1]
			mine.flip("MANIFEST-"+manifestOf(mine), 0.4)
			f.net.Cut(mine.address, other.address)
			f.net.Cut(newborn.address, other.address)
			newborn.open()
			newborn.update("edge", func(tx *Tx) error { return setKey(tx, "newborn", "first") })
			mine.repair()
			f.pass(10 * time.Second)
			err := mine.namespace("edge").View(context.Background(), func(v *View) error {
				_, err := crdt.NewRegister[string]("newborn").Get(v)
				return err
			})
			if err != nil {
				t.Errorf("the newborn peer was not met: %v", err)
			}
			if got := mine.noticed(); slices.Contains(got, NoticeRepaired) {
				t.Error("the newborn peer ended the repair")
			}
			if alone {
				mine.shut()
				done, err := Repair(context.Background(), "db", RepairOptions{FS: mine.disk, Identity: mine.identity, Alone: true})
				if err != nil || done.Reissued == 0 {
					t.Errorf("%+v, %v", done, err)
				}
				mine.open()
				return
			}
			f.net.Heal(mine.address, other.address)
			f.net.Heal(newborn.address, other.address)
			f.pass(10 * time.Second)
			f.converge("edge")
			for _, n := range f.nodes {
				if lacking := checkParted(n); len(lacking) > 0 {
					t.Errorf("at %s: %q", n.address, lacking)
				}
			}
		})
	}
}
