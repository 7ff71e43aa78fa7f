package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func mapCommand(g *globals) *cobra.Command {
	return group("map", "Nested values, each leaf merged for itself", "  anabranch map put edge/config '{\"camera\":{\"fps\":15}}'",
		mapPut(g), mapGet(g), mapDel(g), mapList(g))
}

func mapHandlers() map[string]handler {
	return map[string]handler{
		"map put":  verb(runMapPut),
		"map get":  verb(runMapGet),
		"map del":  verb(runMapDel),
		"map list": verb(runMapList),
	}
}

func mapPut(g *globals) *cobra.Command {
	return valueCommand(g, "map put", &cobra.Command{
		Use:   "put NAMESPACE/PATH JSON",
		Short: "Replace what is at and below a path",
		Long: `Put replaces what this node sees at and below the path. An object becomes its
leaves, which are registers and merge one by one; an array is one leaf. What is
written below the path concurrently survives.`,
		Example: "  anabranch map put edge/config '{\"camera\":{\"fps\":15,\"night\":true}}'\n  anabranch map put edge/config/camera/fps 30",
	}, runQuiet[valueArgs])
}

func mapGet(g *globals) *cobra.Command {
	return addressCommand(g, "map get", &cobra.Command{
		Use:   "get NAMESPACE/PATH",
		Short: "Print what is at and below a path, as one value",
		Long: `Get prints the subtree: registers as their values, counters as integers, sets and
logs as arrays, flags as booleans. Where a path has a value and others below it,
the value is under the key "".`,
		Example: "  anabranch map get edge/config",
	}, runValue[address])
}

func mapDel(g *globals) *cobra.Command {
	return addressCommand(g, "map del", &cobra.Command{
		Use:     "del NAMESPACE/PATH",
		Short:   "Remove what this node sees at and below a path, counters as well",
		Example: "  anabranch map del edge/config/camera",
	}, runQuiet[address])
}

func mapList(g *globals) *cobra.Command {
	return addressCommand(g, "map list", &cobra.Command{
		Use:     "list NAMESPACE/PATH",
		Short:   "Print each leaf at and below a path, a line each",
		Example: "  anabranch map list edge/config",
	}, func(cmd *cobra.Command, g *globals, name string, at address) error {
		return printLeaves(cmd, g, name, at)
	})
}

func runMapPut(ctx context.Context, db *replica.DB, args valueArgs, _ emit) error {
	return update(ctx, db, args.address, func(tx *replica.Tx, p crdt.Path) error {
		return crdt.MapAt[crdt.Raw](p).Put(args.in(tx), args.Value)
	})
}

func runMapGet(ctx context.Context, db *replica.DB, at address, out emit) error {
	return view(ctx, db, at, func(v crdt.View, p crdt.Path) error {
		value, err := crdt.MapAt[crdt.Raw](p).JSON(v)
		if err != nil {
			return err
		}
		return out(valueRow{at, value})
	})
}

func runMapDel(ctx context.Context, db *replica.DB, at address, _ emit) error {
	return update(ctx, db, at, func(tx *replica.Tx, p crdt.Path) error {
		there, err := crdt.MapAt[crdt.Raw](p).Delete(tx)
		return found(at, there, err)
	})
}

func runMapList(ctx context.Context, db *replica.DB, at address, out emit) error {
	some := false
	err := view(ctx, db, at, func(v crdt.View, p crdt.Path) error {
		span, err := p.Subtree()
		if err != nil {
			return err
		}
		return emitLeaves(v, at.Namespace, span, func(row any) error {
			some = true
			return out(row)
		})
	})
	return found(at, some, err)
}
