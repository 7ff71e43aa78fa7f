package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func maxCommand(g *globals) *cobra.Command {
	return group("max", "The greatest number that was set", "  anabranch max set edge/peak-temperature 71.5",
		extremumSet(g, "max", "greater"), extremumGet(g, "max"))
}

func minCommand(g *globals) *cobra.Command {
	return group("min", "The least number that was set", "  anabranch min set edge/lowest-voltage 11.2",
		extremumSet(g, "min", "less"), extremumGet(g, "min"))
}

func extremumHandlers() map[string]handler {
	all := map[string]handler{}
	add := func(name string, kind crdt.Type, at func(crdt.Path) crdt.Extremum[crdt.Raw]) {
		all[name+" set"] = verb(extremumSetter(kind, at))
		all[name+" get"] = verb(extremumGetter(at))
	}
	add("max", crdt.TypeMax, crdt.MaxAt[crdt.Raw])
	add("min", crdt.TypeMin, crdt.MinAt[crdt.Raw])
	return all
}

func extremumSet(g *globals, name, word string) *cobra.Command {
	return valueCommand(g, name+" set", &cobra.Command{
		Use:     "set NAMESPACE/PATH NUMBER",
		Short:   "Take a number into account: written only if it is " + word + " than what is there",
		Example: "  anabranch " + name + " set edge/reading 71.5",
	}, runValue[valueArgs])
}

func extremumGet(g *globals, name string) *cobra.Command {
	return addressCommand(g, name+" get", &cobra.Command{
		Use:     "get NAMESPACE/PATH",
		Short:   "Print the number",
		Example: "  anabranch " + name + " get edge/reading",
	}, runValue[address])
}

// extremumSetter returns a verb that sets a number and answers with the
// extreme one.
func extremumSetter(kind crdt.Type, at func(crdt.Path) crdt.Extremum[crdt.Raw]) func(context.Context, *replica.DB, valueArgs, emit) error {
	return func(ctx context.Context, db *replica.DB, args valueArgs, out emit) error {
		err := updateType(ctx, db, args.address, func(tx *replica.Tx, p crdt.Path) error {
			return at(p).Set(args.in(tx), args.Value)
		}, kind)
		if err != nil {
			return err
		}
		return extremumGetter(at)(ctx, db, args.address, out)
	}
}

func extremumGetter(at func(crdt.Path) crdt.Extremum[crdt.Raw]) func(context.Context, *replica.DB, address, emit) error {
	return func(ctx context.Context, db *replica.DB, a address, out emit) error {
		return view(ctx, db, a, func(v crdt.View, p crdt.Path) error {
			value, err := at(p).Get(v)
			if err != nil {
				return err
			}
			return answer(out, a, value)
		})
	}
}
