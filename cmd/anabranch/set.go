package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func setCommand(g *globals) *cobra.Command {
	return group("set", "A set of values", "  anabranch set add edge/labels '\"cat\"'",
		setAdd(g), setRemove(g), setList(g))
}

func setHandlers() map[string]handler {
	return map[string]handler{
		"set add":    verb(runSetAdd),
		"set remove": verb(runSetRemove),
		"set list":   verb(runSetList),
	}
}

var setPolicies = policies{
	{"add-wins", crdt.TypeSetAddWins},
	{"remove-wins", crdt.TypeSetRemWins},
}

// setAt returns the set of a type that setPolicies chose.
func setAt(kind crdt.Type, p crdt.Path) crdt.Set[crdt.Raw] {
	if kind == crdt.TypeSetRemWins {
		return crdt.SetAt[crdt.Raw](crdt.RemoveWins, p)
	}
	return crdt.SetAt[crdt.Raw](crdt.AddWins, p)
}

type setArgs struct {
	address
	Policy   string     `json:"policy,omitempty"`
	Elements []crdt.Raw `json:"elements,omitempty"`
	lifetime
}

func setAdd(g *globals) *cobra.Command {
	return setElements(g, "set add", &cobra.Command{
		Use:     "add NAMESPACE/PATH JSON...",
		Short:   "Add elements, in one transaction",
		Example: "  anabranch set add edge/labels '\"cat\"' '\"dog\"'\n  anabranch set add --policy remove-wins edge/allowed 17",
	})
}

func setRemove(g *globals) *cobra.Command {
	return setElements(g, "set remove", &cobra.Command{
		Use:   "remove NAMESPACE/PATH JSON...",
		Short: "Remove elements, in one transaction",
		Long: `Remove takes elements out. In an add-wins set an element that another node adds
at the same time stays in; in a remove-wins set it goes. An element that is not
in an add-wins set is missing: exit code 3, and nothing is removed. With --ttl a
remove-wins set forgets after that time that the element was removed; it stays
out until it is added again.`,
		Example: "  anabranch set remove edge/labels '\"cat\"'",
	})
}

// setElements completes a command of an address and elements.
func setElements(g *globals, name string, cmd *cobra.Command) *cobra.Command {
	var policy string
	var life lifetime
	life.flag(cmd)
	cmd.Flags().StringVar(&policy, "policy", "", setPolicies.help())
	cmd.Args = cobra.MinimumNArgs(2)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := parseAddress(args[0])
		if err != nil {
			return err
		}
		if err := life.check(cmd); err != nil {
			return err
		}
		request := setArgs{address: at, Policy: policy, lifetime: life}
		for _, text := range args[1:] {
			e, err := parseValue(text)
			if err != nil {
				return err
			}
			request.Elements = append(request.Elements, e)
		}
		return runQuiet(cmd, g, name, request)
	}
	return cmd
}

func setList(g *globals) *cobra.Command {
	var policy string
	cmd := addressCommand(g, "set list", &cobra.Command{
		Use:     "list NAMESPACE/PATH",
		Short:   "Print the elements, a line each",
		Example: "  anabranch set list edge/labels -o raw",
	}, func(cmd *cobra.Command, g *globals, name string, at address) error {
		return runValue(cmd, g, name, setArgs{address: at, Policy: policy})
	})
	cmd.Flags().StringVar(&policy, "policy", "", setPolicies.help())
	return cmd
}

func runSetAdd(ctx context.Context, db *replica.DB, args setArgs, _ emit) error {
	return updateType(ctx, db, args.address, func(tx *replica.Tx, p crdt.Path) error {
		kind, err := setPolicies.choose(tx, args.address, p, args.Policy)
		if err != nil {
			return err
		}
		for _, e := range args.Elements {
			if err := setAt(kind, p).Add(args.in(tx), e); err != nil {
				return err
			}
		}
		return nil
	}, crdt.TypeSetAddWins, crdt.TypeSetRemWins)
}

func runSetRemove(ctx context.Context, db *replica.DB, args setArgs, _ emit) error {
	return updateType(ctx, db, args.address, func(tx *replica.Tx, p crdt.Path) error {
		kind, err := setPolicies.choose(tx, args.address, p, args.Policy)
		if err != nil {
			return err
		}
		for _, e := range args.Elements {
			there, err := setAt(kind, p).Remove(args.in(tx), e)
			if err != nil {
				return err
			}
			if !there && kind == crdt.TypeSetAddWins {
				return missingf("%s: element %s: %w", args.address, e, crdt.ErrMissing)
			}
		}
		return nil
	}, crdt.TypeSetAddWins, crdt.TypeSetRemWins)
}

func runSetList(ctx context.Context, db *replica.DB, args setArgs, out emit) error {
	return view(ctx, db, args.address, func(v crdt.View, p crdt.Path) error {
		kind, err := setPolicies.choose(v, args.address, p, args.Policy)
		if err != nil {
			return err
		}
		if _, err := crdt.Fold(v, p, kind); err != nil {
			return err // nothing was ever added here
		}
		for e, err := range setAt(kind, p).All(v) {
			if err != nil {
				return err
			}
			if err := answer(out, args.address, e); err != nil {
				return err
			}
		}
		return nil
	})
}
