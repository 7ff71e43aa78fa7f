package crdt_test

import (
	"errors"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

type model struct {
	Name    string `msgpack:"name"`
	Version int    `msgpack:"version"`
}

// Two nodes write while they are apart, and read the same when they meet.
func Example() {
	active := crdt.NewRegister[model]("model", "active")
	cats := crdt.NewCounter("seen", "cats")
	labels := crdt.NewSet[string](crdt.AddWins, "labels")

	hub := crdt.NewReplica(crdt.NodeID{1}, crdt.WriterID{1})
	truck := crdt.NewReplica(crdt.NodeID{2}, crdt.WriterID{2})
	err := errors.Join(
		hub.Update(1000, func(tx crdt.Tx) error {
			return errors.Join(active.Set(tx, model{"resnet", 7}), cats.Add(tx, 40))
		}),
		truck.Update(2000, func(tx crdt.Tx) error {
			return errors.Join(active.Set(tx, model{"resnet", 8}), cats.Add(tx, 2), labels.Add(tx, "night"))
		}),
		hub.Merge(truck.Delta(hub.Vector())),
		truck.Merge(hub.Delta(truck.Vector())),
	)
	if err != nil {
		panic(err)
	}
	for _, r := range []*crdt.Replica{hub, truck} {
		v := r.View()
		m, _ := active.Get(v)
		n, _ := cats.Get(v)
		l, _ := labels.List(v)
		fmt.Println(m, n, l)
	}
	conflicts, _ := active.Conflicts(hub.View())
	for _, c := range conflicts {
		fmt.Println(c.Value.Version, "by node", c.Node.Short())
	}
	// Output:
	// {resnet 8} 42 [night]
	// {resnet 8} 42 [night]
	// 8 by node 02000000
	// 7 by node 01000000
}

// A map is all that lies below a path; its leaves can be written one by one,
// and may be of any type.
func ExampleMap() {
	config := crdt.NewMap[crdt.Raw]("config")
	r := crdt.NewReplica(crdt.NodeID{1}, crdt.WriterID{1})
	value, err := crdt.FromJSON([]byte(`{"camera": {"fps": 30, "modes": ["day", "night"]}}`))
	if err != nil {
		panic(err)
	}
	err = r.Update(1000, func(tx crdt.Tx) error {
		return errors.Join(
			config.Put(tx, value),
			crdt.NewRegister[int]("config", "camera", "fps").Set(tx, 25),
			crdt.NewCounter("config", "reloads").Add(tx, 1),
		)
	})
	if err != nil {
		panic(err)
	}
	all, _ := config.Get(r.View())
	fmt.Println(all)
	// Output:
	// {"camera":{"fps":25,"modes":["day","night"]},"reloads":1}
}

// What a program does not know by type, it can list and fold.
func ExampleLeaves() {
	r := crdt.NewReplica(crdt.NodeID{1}, crdt.WriterID{1})
	err := r.Update(1000, func(tx crdt.Tx) error {
		return errors.Join(
			crdt.NewMax[float64]("gpu", "peak").Set(tx, 81.5),
			crdt.NewFlag(crdt.DisableWins, "gpu", "allowed").Enable(tx),
			crdt.NewLog[string]("events").Append(tx, "boot"),
		)
	})
	if err != nil {
		panic(err)
	}
	for leaf, err := range crdt.Leaves(r.View(), crdt.AllKeys) {
		if err != nil {
			panic(err)
		}
		value, err := crdt.Fold(r.View(), leaf.Path, leaf.Type)
		fmt.Println(leaf.Path, leaf.Type, value, err)
	}
	// Output:
	// events log ["boot"] <nil>
	// gpu/allowed flag (disable-wins) true <nil>
	// gpu/peak max 81.5 <nil>
}
