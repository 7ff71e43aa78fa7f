package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func registerCommand(g *globals) *cobra.Command {
	return group("register", "One value; the last writer wins", "  anabranch register set edge/model/active '\"v2\"'",
		registerSet(g), registerGet(g), registerDel(g), registerConflicts(g))
}

func registerHandlers() map[string]handler {
	return map[string]handler{
		"register set":       verb(runRegisterSet),
		"register get":       verb(runRegisterGet),
		"register del":       verb(runRegisterDel),
		"register conflicts": verb(runRegisterConflicts),
	}
}

// valueArgs are an address, and a value for it.
type valueArgs struct {
	address
	Value crdt.Raw `json:"value,omitempty"`
	lifetime
}

func registerSet(g *globals) *cobra.Command {
	return valueCommand(g, "register set", &cobra.Command{
		Use:     "set NAMESPACE/PATH JSON",
		Short:   "Write a value",
		Example: "  anabranch register set edge/model/active '\"v2\"'\n  anabranch register set edge/threshold 0.75\n  anabranch register set edge/presence/door true --ttl 5m",
	}, runQuiet[valueArgs])
}

func registerGet(g *globals) *cobra.Command {
	return addressCommand(g, "register get", &cobra.Command{
		Use:     "get NAMESPACE/PATH",
		Short:   "Print the value",
		Example: "  anabranch register get edge/model/active -o raw",
	}, runValue[address])
}

func registerDel(g *globals) *cobra.Command {
	return addressCommand(g, "register del", &cobra.Command{
		Use:     "del NAMESPACE/PATH",
		Short:   "Remove the value that this node sees; a concurrent write survives",
		Example: "  anabranch register del edge/model/active",
	}, runQuiet[address])
}

// conflictRow is one of the concurrent values of a register.
type conflictRow struct {
	address
	Value  crdt.Raw  `json:"value"`
	Wins   bool      `json:"wins"`
	Time   time.Time `json:"time"`
	Node   string    `json:"node"`
	Writer string    `json:"writer"`
	// Expires is when it leaves, if it does.
	Expires *time.Time `json:"expires,omitempty"`
}

func registerConflicts(g *globals) *cobra.Command {
	return addressCommand(g, "register conflicts", &cobra.Command{
		Use:   "conflicts NAMESPACE/PATH",
		Short: "Print all values that were written concurrently, the winner first",
		Long: `Conflicts prints every value that was written without having seen the others.
The first one is what 'get' shows: the latest by clock. The others stay until a
write that has seen them replaces them.`,
		Example: "  anabranch register conflicts edge/model/active",
	}, func(cmd *cobra.Command, g *globals, name string, at address) error {
		p := newPrinter(cmd.OutOrStdout(), g.output, "", "value", "written", "by node")
		err := call(cmd.Context(), g, name, at, func(r conflictRow) error {
			text, err := crdt.ToJSON(r.Value)
			if err != nil {
				return err
			}
			shown, raw, err := valueTexts(text)
			if err != nil {
				return err
			}
			mark := "loses"
			if r.Wins {
				mark = "wins"
			}
			return p.row(r, raw, mark, shown, r.Time.Format(writtenLayout), r.Node[:min(8, len(r.Node))])
		})
		if err != nil {
			return err
		}
		return p.flush()
	})
}

// addressCommand completes a command whose one argument is an address.
func addressCommand(g *globals, name string, cmd *cobra.Command, run func(*cobra.Command, *globals, string, address) error) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := parseAddress(args[0])
		if err != nil {
			return err
		}
		return run(cmd, g, name, at)
	}
	return cmd
}

func runRegisterSet(ctx context.Context, db *replica.DB, args valueArgs, _ emit) error {
	return updateType(ctx, db, args.address, func(tx *replica.Tx, p crdt.Path) error {
		return crdt.RegisterAt[crdt.Raw](p).Set(args.in(tx), args.Value)
	}, crdt.TypeRegister)
}

func runRegisterGet(ctx context.Context, db *replica.DB, at address, out emit) error {
	return view(ctx, db, at, func(v crdt.View, p crdt.Path) error {
		value, err := crdt.RegisterAt[crdt.Raw](p).Get(v)
		if err != nil {
			return err
		}
		return answer(out, at, value)
	})
}

func runRegisterDel(ctx context.Context, db *replica.DB, at address, _ emit) error {
	return updateType(ctx, db, at, func(tx *replica.Tx, p crdt.Path) error {
		there, err := crdt.RegisterAt[crdt.Raw](p).Delete(tx)
		return found(at, there, err)
	}, crdt.TypeRegister)
}

func runRegisterConflicts(ctx context.Context, db *replica.DB, at address, out emit) error {
	return view(ctx, db, at, func(v crdt.View, p crdt.Path) error {
		siblings, err := crdt.RegisterAt[crdt.Raw](p).Conflicts(v)
		if err != nil {
			return err
		}
		for i, s := range siblings {
			row := conflictRow{
				address: at, Value: s.Value, Wins: i == 0, Time: time.UnixMilli(s.Time.Millis()).UTC(),
				Node: s.Node.String(), Writer: s.Writer.String(), Expires: expiresAt(s.Expires),
			}
			if err := out(row); err != nil {
				return err
			}
		}
		return nil
	})
}
