package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func scanHandlers() map[string]handler {
	return map[string]handler{"scan": verb(runScan)}
}

// leafRow is what is at one path of one type.
type leafRow struct {
	address
	Type string `json:"type"`
	// Value is nil for a type of a later release, which is kept unread.
	Value json.RawMessage `json:"value,omitempty"`
	// Expires is when the value changes by an expiry, if it does.
	Expires *time.Time `json:"expires,omitempty"`
}

func scanCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "scan NAMESPACE[/PATH]",
		Short:   "Print everything in a namespace, or at and below a path, in order",
		Example: "  anabranch scan edge\n  anabranch scan edge/config -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseScope(args[0])
			if err != nil {
				return err
			}
			return printLeaves(cmd, g, "scan", at)
		},
	}
}

// parseScope reads NAMESPACE, or NAMESPACE/PATH.
func parseScope(s string) (address, error) {
	if s != "" && !strings.Contains(s, "/") {
		return address{Namespace: s}, nil
	}
	return parseAddress(s)
}

// span returns the keys of a scope.
func (a address) span() (crdt.Span, error) {
	if a.Path == "" {
		return crdt.AllKeys, nil
	}
	p, err := a.path()
	if err != nil {
		return crdt.Span{}, err
	}
	return p.Subtree()
}

// printLeaves calls a verb that answers with leaves, and prints them.
func printLeaves(cmd *cobra.Command, g *globals, name string, at address) error {
	p := newPrinter(cmd.OutOrStdout(), g.output, "path", "type", "value")
	err := call(cmd.Context(), g, name, at, func(r leafRow) error {
		if len(r.Value) == 0 {
			return p.row(r, "", r.Path, r.Type, "(kept unread)")
		}
		text, raw, err := valueTexts(r.Value)
		if err != nil {
			return err
		}
		cells := []string{r.Path, r.Type, text}
		if r.Expires != nil {
			cells = append(cells, "until "+r.Expires.Format(writtenLayout))
		}
		return p.row(r, raw, cells...)
	})
	return errors.Join(err, p.flush())
}

func runScan(ctx context.Context, db *replica.DB, at address, out emit) error {
	span, err := at.span()
	if err != nil {
		return err
	}
	ns, err := db.Lookup(at.Namespace)
	if err != nil {
		return err
	}
	return ns.View(ctx, func(v *replica.View) error { return emitLeaves(v, at.Namespace, span, out) })
}

// emitLeaves answers with every leaf in a span.
func emitLeaves(v crdt.View, namespace string, span crdt.Span, out emit) error {
	for leaf, err := range crdt.Leaves(v, span) {
		if err != nil {
			return err
		}
		row := leafRow{address: address{namespace, leaf.Path.String()}, Type: leaf.Type.String()}
		row.Value, err = crdt.FoldJSON(v, leaf.Path, leaf.Type)
		if err != nil && !errors.Is(err, crdt.ErrUnknownType) {
			return err
		}
		expires, err := crdt.Expiry(v, leaf.Path, leaf.Type)
		if err != nil {
			return err
		}
		row.Expires = expiresAt(expires)
		if err := out(row); err != nil {
			return err
		}
	}
	return nil
}
