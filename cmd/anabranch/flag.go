package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func flagCommand(g *globals) *cobra.Command {
	return group("flag", "A switch that is on or off", "  anabranch flag on edge/maintenance",
		flagVerb(g, "flag on", &cobra.Command{
			Use: "on NAMESPACE/PATH", Short: "Switch it on",
			Example: "  anabranch flag on edge/maintenance --ttl 30m",
		}, true),
		flagVerb(g, "flag off", &cobra.Command{
			Use: "off NAMESPACE/PATH", Short: "Switch it off",
			Example: "  anabranch flag off edge/night-mode --policy disable-wins",
		}, true),
		flagVerb(g, "flag get", &cobra.Command{
			Use: "get NAMESPACE/PATH", Short: "Print true or false",
			Example: "  anabranch flag get edge/maintenance",
		}, false))
}

func flagHandlers() map[string]handler {
	return map[string]handler{
		"flag on":  verb(flagSetter(true)),
		"flag off": verb(flagSetter(false)),
		"flag get": verb(runFlagGet),
	}
}

var flagPolicies = policies{
	{"enable-wins", crdt.TypeFlagEnable},
	{"disable-wins", crdt.TypeFlagDisable},
}

// flagAt returns the flag of a type that flagPolicies chose.
func flagAt(kind crdt.Type, p crdt.Path) crdt.Flag {
	if kind == crdt.TypeFlagDisable {
		return crdt.FlagAt(crdt.DisableWins, p)
	}
	return crdt.FlagAt(crdt.EnableWins, p)
}

type flagArgs struct {
	address
	Policy string `json:"policy,omitempty"`
	lifetime
}

// flagVerb completes a command on one flag.
func flagVerb(g *globals, name string, cmd *cobra.Command, quiet bool) *cobra.Command {
	var policy string
	var life lifetime
	cmd = addressCommand(g, name, cmd, func(cmd *cobra.Command, g *globals, name string, at address) error {
		if err := life.check(cmd); err != nil {
			return err
		}
		if quiet {
			return runQuiet(cmd, g, name, flagArgs{at, policy, life})
		}
		return runValue(cmd, g, name, flagArgs{at, policy, life})
	})
	if quiet {
		life.flag(cmd)
	}
	cmd.Flags().StringVar(&policy, "policy", "", flagPolicies.help())
	return cmd
}

func flagSetter(on bool) func(context.Context, *replica.DB, flagArgs, emit) error {
	return func(ctx context.Context, db *replica.DB, args flagArgs, _ emit) error {
		return updateType(ctx, db, args.address, func(tx *replica.Tx, p crdt.Path) error {
			kind, err := flagPolicies.choose(tx, args.address, p, args.Policy)
			if err != nil {
				return err
			}
			return flagAt(kind, p).Set(args.in(tx), on)
		}, crdt.TypeFlagEnable, crdt.TypeFlagDisable)
	}
}

func runFlagGet(ctx context.Context, db *replica.DB, args flagArgs, out emit) error {
	return view(ctx, db, args.address, func(v crdt.View, p crdt.Path) error {
		kind, err := flagPolicies.choose(v, args.address, p, args.Policy)
		if err != nil {
			return err
		}
		on, err := flagAt(kind, p).Enabled(v)
		if err != nil {
			return err
		}
		return answer(out, args.address, crdt.AppendBool(nil, on))
	})
}
