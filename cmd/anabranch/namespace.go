package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

func namespaceCommand(g *globals) *cobra.Command {
	return group("namespace", "What this node holds and syncs", "  anabranch namespace create edge",
		namespaceCreate(g),
		namespacePriority(g),
		namespaceList(g),
		namespaceVerb(g, "namespace drop", &cobra.Command{
			Use: "drop NAME", Short: "Remove a namespace from this node; peers keep theirs",
			Long: `Drop removes a namespace and all that is in it from this node. Peers keep theirs,
and nothing is removed there. What no peer has yet is lost.`,
			Example: "  anabranch namespace drop edge",
		}))
}

func namespaceHandlers() map[string]handler {
	return map[string]handler{
		"namespace create":   verb(runNamespaceCreate),
		"namespace priority": verb(runNamespacePriority),
		"namespace list":     verb(runNamespaceList),
		"namespace drop":     verb(runNamespaceDrop),
	}
}

// nameArgs name a namespace.
type nameArgs struct {
	Namespace string `json:"namespace"`
}

func namespaceVerb(g *globals, name string, cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runQuiet(cmd, g, name, nameArgs{args[0]})
	}
	return cmd
}

// priorityArgs name a namespace and, if it is to be set, its priority.
type priorityArgs struct {
	nameArgs
	Priority string `json:"priority,omitempty"`
}

func namespaceCreate(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Hold a namespace; its state comes from the peers that hold it",
		Example: "  anabranch namespace create edge\n  anabranch namespace create logs --priority bulk",
		Args:    cobra.ExactArgs(1),
	}
	priority := cmd.Flags().String("priority", "", "bulk, normal or urgent; see 'namespace priority'")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return runQuiet(cmd, g, "namespace create", priorityArgs{nameArgs{args[0]}, *priority})
	}
	return cmd
}

func namespacePriority(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "priority NAME [bulk|normal|urgent]", Short: "Print or set how urgent a namespace is on links",
		Long: `Priority prints or sets how urgent a namespace is to this node. On each link more
urgent namespaces go first, and a metered link ('peer add --metered') may hold back
what is less urgent. Peers have settings of their own.`,
		Example: "  anabranch namespace priority pointers urgent\n  anabranch namespace priority logs bulk",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := priorityArgs{nameArgs: nameArgs{args[0]}}
			if len(args) == 2 {
				request.Priority = args[1]
			}
			p := newPrinter(cmd.OutOrStdout(), g.output)
			err := call(cmd.Context(), g, "namespace priority", request, func(r priorityArgs) error {
				return p.row(r, r.Priority, r.Priority)
			})
			if err != nil {
				return err
			}
			return p.flush()
		},
	}
}

func runNamespacePriority(_ context.Context, db *replica.DB, args priorityArgs, out emit) error {
	if args.Priority != "" {
		return setPriority(db, args)
	}
	p, err := db.Priority(args.Namespace)
	if err == nil && p == replica.PriorityNormal { // nothing was set: is there such a namespace at all?
		_, err = db.Lookup(args.Namespace)
	}
	if err != nil {
		return err
	}
	return out(priorityArgs{args.nameArgs, p.String()})
}

func setPriority(db *replica.DB, args priorityArgs) error {
	p, err := replica.ParsePriority(args.Priority)
	if err != nil {
		return err
	}
	return db.SetPriority(args.Namespace, p)
}

func namespaceList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Print the namespaces that this node holds",
		Example: "  anabranch namespace list -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := newPrinter(cmd.OutOrStdout(), g.output)
			err := call(cmd.Context(), g, "namespace list", struct{}{}, func(r nameArgs) error {
				return p.row(r, r.Namespace, r.Namespace)
			})
			if err != nil {
				return err
			}
			return p.flush()
		},
	}
}

func runNamespaceCreate(_ context.Context, db *replica.DB, args priorityArgs, _ emit) error {
	if args.Priority != "" { // ahead of it: a metered link need not carry it at first
		if err := setPriority(db, args); err != nil {
			return err
		}
	}
	_, err := db.Create(args.Namespace)
	return err
}

func runNamespaceDrop(_ context.Context, db *replica.DB, args nameArgs, _ emit) error {
	return db.Drop(args.Namespace)
}

func runNamespaceList(_ context.Context, db *replica.DB, _ struct{}, out emit) error {
	names, err := db.Namespaces()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := out(nameArgs{name}); err != nil {
			return err
		}
	}
	return nil
}
