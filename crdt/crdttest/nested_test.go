package crdttest

import (
	"fmt"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/history"
	"pgregory.net/rapid"
)

// nestedCases is a tenth of what each type by itself passes: a case reads twenty
// leaves after every action.
const nestedCases = cases / 10

// nestedOp is an operation on a leaf of a map in a map, or the deletion of one
// of the two.
type nestedOp struct {
	leaf int // of nestedLeaves; -1: the outer map is deleted, -2: the inner one
	op   op
}

func (o nestedOp) String() string {
	switch o.leaf {
	case -1:
		return "delete m"
	case -2:
		return "delete m/n"
	}
	return fmt.Sprintf("%s %v", nestedLeaves[o.leaf].name, o.op)
}

// nestedLeaf is a leaf of one of the maps.
type nestedLeaf struct {
	name  string
	inner bool
	lens  Lens[op]
}

// nestedLeaves are a leaf of each type, in each of the two maps.
var nestedLeaves = func() (all []nestedLeaf) {
	for _, inner := range []bool{false, true} {
		at := func(name string) []string {
			if inner {
				return []string{"m", "n", name}
			}
			return []string{"m", name}
		}
		for _, l := range []Lens[op]{
			registerAt(at("r")...), multiValueAt(at("v")...), counterAt(at("c")...),
			flagAt(crdt.EnableWins, at("e")...), flagAt(crdt.DisableWins, at("d")...),
			setAt(crdt.AddWins, at("a")...), setAt(crdt.RemoveWins, at("s")...),
			extremumAt("max", at("x")...), extremumAt("min", at("y")...), logAt(at("l")...),
		} {
			name := "m " + l.Name
			if inner {
				name = "m/n " + l.Name
			}
			all = append(all, nestedLeaf{name, inner, l})
		}
	}
	return all
}()

func nestedOps() *rapid.Generator[nestedOp] {
	return rapid.Custom(func(t *rapid.T) nestedOp {
		o := nestedOp{leaf: rapid.IntRange(0, len(nestedLeaves)-1).Draw(t, "leaf")}
		if rapid.IntRange(0, 3).Draw(t, "what") == 0 { // or deletions would be rare
			o.leaf = -1 - o.leaf%2
		}
		if o.leaf >= 0 {
			o.op = nestedLeaves[o.leaf].lens.Op.Draw(t, "op")
		}
		return o
	})
}

// TestEverythingBelowAMap is what riak_dt's statem does with its map: all types
// are fields of a map, and of a map within it, which are removed beside their
// updates.
func TestEverythingBelowAMap(t *testing.T) {
	if !checksChosen {
		setChecks(nestedCases)
		defer setChecks(cases)
	}
	operations := 0
	Run(t, Lens[nestedOp]{
		Name: "nested maps of everything", Op: nestedOps(),
		Apply: func(tx crdt.Tx, o nestedOp) (err error) {
			operations++
			switch o.leaf {
			case -1:
				_, err = crdt.NewMap[crdt.Raw]("m").Delete(tx)
			case -2:
				_, err = crdt.NewMap[crdt.Raw]("m", "n").Delete(tx)
			default:
				return nestedLeaves[o.leaf].lens.Apply(tx, o.op)
			}
			return err
		},
		Observe: func(v crdt.View) (text string, err error) {
			for _, l := range nestedLeaves {
				read, err := l.lens.Observe(v)
				if err != nil {
					return "", err
				}
				text += l.name + ": " + read + "\n"
			}
			return text, nil
		},
		Model: func(h History[nestedOp]) (text string) {
			for i, l := range nestedLeaves {
				own := history.Map(h, func(o nestedOp) (op, bool) {
					if o.leaf == -1 || o.leaf == -2 && l.inner {
						return op{verb: wipe}, true
					}
					return o.op, o.leaf == i
				})
				text += l.name + ": " + l.lens.Model(own) + "\n"
			}
			return text
		},
	})
	t.Attr("operations", fmt.Sprint(operations))
}
