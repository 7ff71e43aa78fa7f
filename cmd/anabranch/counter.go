package main

import (
	"context"
	"errors"
	"math/big"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func counterCommand(g *globals) *cobra.Command {
	return group("counter", "A number that every node adds to", "  anabranch counter add edge/seen/cats 3",
		counterAdd(g), counterGet(g), counterReset(g), counterDel(g))
}

func counterHandlers() map[string]handler {
	return map[string]handler{
		"counter add":   verb(runCounterAdd),
		"counter get":   verb(runCounterGet),
		"counter reset": verb(runCounterReset),
		"counter del":   verb(runCounterDel),
	}
}

type counterArgs struct {
	address
	Delta int64 `json:"delta"`
}

func counterAdd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "add NAMESPACE/PATH [AMOUNT]",
		Short:   "Add 1, or AMOUNT, which may be negative, and print the value",
		Example: "  anabranch counter add edge/seen/cats\n  anabranch counter add edge/stock/bolts -- -20",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			delta := int64(1)
			if len(args) == 2 {
				if delta, err = strconv.ParseInt(args[1], 10, 64); err != nil {
					return usagef("amount %s: not a 64-bit integer", cited(args[1]))
				}
			}
			return runValue(cmd, g, "counter add", counterArgs{at, delta})
		},
	}
}

func counterGet(g *globals) *cobra.Command {
	return addressCommand(g, "counter get", &cobra.Command{
		Use:     "get NAMESPACE/PATH",
		Short:   "Print the value",
		Example: "  anabranch counter get edge/seen/cats -o raw",
	}, runValue[address])
}

func counterReset(g *globals) *cobra.Command {
	return addressCommand(g, "counter reset", &cobra.Command{
		Use:   "reset NAMESPACE/PATH",
		Short: "Take away what this node has seen counted, and print the value",
		Long: `Reset takes away exactly what this node has seen counted. What others add at the
same time, unseen, survives; two resets at the same time take away once.`,
		Example: "  anabranch counter reset edge/seen/cats",
	}, runValue[address])
}

func counterDel(g *globals) *cobra.Command {
	return addressCommand(g, "counter del", &cobra.Command{
		Use:     "del NAMESPACE/PATH",
		Short:   "Reset and remove the counter; what is added concurrently survives",
		Example: "  anabranch counter del edge/seen/cats",
	}, runQuiet[address])
}

func runCounterAdd(ctx context.Context, db *replica.DB, args counterArgs, out emit) error {
	err := updateType(ctx, db, args.address, func(tx *replica.Tx, p crdt.Path) error {
		return addWithin(tx, crdt.CounterAt(p), args.Delta)
	}, crdt.TypeCounter)
	if err != nil {
		return err
	}
	return runCounterGet(ctx, db, args.address, out)
}

// addWithin adds to a counter, and refuses to bring the value that this node
// sees out of 64 bits: then the verb that failed has changed nothing. What
// concurrent adds brought out of them can be brought back step by step.
func addWithin(tx crdt.Tx, c crdt.Counter, delta int64) error {
	before, err := c.Big(tx)
	switch {
	case errors.Is(err, crdt.ErrMissing):
		before = new(big.Int)
	case err != nil:
		return err
	}
	if err := c.Add(tx, delta); err != nil {
		return err
	}
	after, err := c.Big(tx)
	if err != nil || after.IsInt64() || after.CmpAbs(before) < 0 {
		return err
	}
	_, err = c.Get(tx) // says what the value would be, and where
	return err
}

func runCounterGet(ctx context.Context, db *replica.DB, at address, out emit) error {
	return view(ctx, db, at, func(v crdt.View, p crdt.Path) error {
		value, err := crdt.CounterAt(p).Big(v) // concurrent adds may have brought it out of 64 bits
		if err != nil {
			return err
		}
		return out(valueRow{at, value.Append(nil, 10)})
	})
}

func runCounterReset(ctx context.Context, db *replica.DB, at address, out emit) error {
	err := updateType(ctx, db, at, func(tx *replica.Tx, p crdt.Path) error {
		there, err := crdt.CounterAt(p).Reset(tx)
		return found(at, there, err)
	}, crdt.TypeCounter)
	if err != nil {
		return err
	}
	return runCounterGet(ctx, db, at, out)
}

func runCounterDel(ctx context.Context, db *replica.DB, at address, _ emit) error {
	return updateType(ctx, db, at, func(tx *replica.Tx, p crdt.Path) error {
		there, err := crdt.CounterAt(p).Delete(tx)
		return found(at, there, err)
	}, crdt.TypeCounter)
}
