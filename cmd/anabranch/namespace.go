package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

func namespaceCommand(g *globals) *cobra.Command {
	return group("namespace", "What this node holds and syncs", "  anabranch namespace create edge",
		namespaceVerb(g, "namespace create", &cobra.Command{
			Use: "create NAME", Short: "Hold a namespace; its state comes from the peers that hold it",
			Example: "  anabranch namespace create edge",
		}),
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
		"namespace create": verb(runNamespaceCreate),
		"namespace list":   verb(runNamespaceList),
		"namespace drop":   verb(runNamespaceDrop),
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

func runNamespaceCreate(_ context.Context, db *replica.DB, args nameArgs, _ emit) error {
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
