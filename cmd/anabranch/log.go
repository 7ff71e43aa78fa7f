package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func logCommand(g *globals) *cobra.Command {
	return group("log", "Entries that are only ever appended", "  anabranch log append edge/events '\"door opened\"'",
		logAppend(g), logList(g))
}

func logHandlers() map[string]handler {
	return map[string]handler{
		"log append": verb(runLogAppend),
		"log list":   verb(runLogList),
	}
}

func logAppend(g *globals) *cobra.Command {
	return valueCommand(g, "log append", &cobra.Command{
		Use:     "append NAMESPACE/PATH JSON",
		Short:   "Append an entry",
		Example: "  anabranch log append edge/events '{\"door\":\"open\",\"at\":1700000000}'",
	}, runQuiet[valueArgs])
}

func logList(g *globals) *cobra.Command {
	return addressCommand(g, "log list", &cobra.Command{
		Use:   "list NAMESPACE/PATH",
		Short: "Print the entries, a line each",
		Long: `List prints the entries in an order that is the same on every node: an entry
comes behind all that its node had seen when it appended it.`,
		Example: "  anabranch log list edge/events -o json",
	}, runValue[address])
}

func runLogAppend(ctx context.Context, db *replica.DB, args valueArgs, _ emit) error {
	return updateType(ctx, db, args.address, func(tx *replica.Tx, p crdt.Path) error {
		return crdt.LogAt[crdt.Raw](p).Append(args.in(tx), args.Value)
	}, crdt.TypeLog)
}

func runLogList(ctx context.Context, db *replica.DB, at address, out emit) error {
	some := false
	err := view(ctx, db, at, func(v crdt.View, p crdt.Path) error {
		for entry, err := range crdt.LogAt[crdt.Raw](p).All(v) {
			if err != nil {
				return err
			}
			some = true
			if err := answer(out, at, entry); err != nil {
				return err
			}
		}
		return nil
	})
	return found(at, some, err)
}
