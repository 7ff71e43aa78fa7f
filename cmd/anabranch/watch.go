package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func watchHandlers() map[string]handler {
	return map[string]handler{"watch": verb(runWatch)}
}

type (
	watchArgs struct {
		address
		Cursor string `json:"cursor,omitempty"`
		Once   bool   `json:"once,omitempty"`
	}
	watchRow struct {
		Event string `json:"event"` // change, removal, synced, reset
		Path  string `json:"path,omitempty"`
		Type  string `json:"type,omitempty"`
		// Value is nil for a removal, and for a type of a later release.
		Value  json.RawMessage `json:"value,omitempty"`
		Cursor string          `json:"cursor,omitempty"`
	}
)

func watchCommand(g *globals) *cobra.Command {
	var args watchArgs
	cmd := &cobra.Command{
		Use:   "watch NAMESPACE[/PATH]",
		Short: "Print what is there, and then each change, until interrupted",
		Long: `Watch prints what is there, then a mark (synced), then each group of changes with a
mark behind it. Between two marks the lines tell of one moment: of a transaction
all or nothing. That a value expired is not told: 'scan' says when it does.

A mark's cursor resumes a later watch behind it, after a restart too; one that
cannot (the namespace was dropped in between) starts again with a reset.`,
		Example: "  anabranch watch edge\n  anabranch watch edge/config -o json --cursor CURSOR",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, positional []string) error {
			at, err := parseScope(positional[0])
			if err != nil {
				return err
			}
			args.address = at
			return runWatchCommand(cmd, g, args)
		},
	}
	cmd.Flags().StringVar(&args.Cursor, "cursor", "", "resume behind this mark")
	cmd.Flags().BoolVar(&args.Once, "once", false, "end at the first mark")
	return cmd
}

func runWatchCommand(cmd *cobra.Command, g *globals, args watchArgs) error {
	p := newPrinter(cmd.OutOrStdout(), g.output)
	err := call(cmd.Context(), g, "watch", args, func(r watchRow) error {
		text, raw := "", ""
		if len(r.Value) > 0 {
			var err error
			if text, raw, err = valueTexts(r.Value); err != nil {
				return err
			}
		}
		if g.output == outputRaw && r.Event != "change" {
			return nil
		}
		what := r.Path
		if r.Event == "synced" {
			what = r.Cursor
		}
		return errors.Join(p.row(r, raw, r.Event, what, r.Type, text), p.flush())
	})
	if errors.Is(err, context.Canceled) {
		return nil // interrupted, as is the way to end it
	}
	return err
}

func runWatch(ctx context.Context, db *replica.DB, args watchArgs, out emit) error {
	o, err := args.options()
	if err != nil {
		return err
	}
	ns, err := db.Lookup(args.Namespace)
	if err != nil {
		return err
	}
	for ev, err := range ns.Watch(ctx, o) {
		if err != nil {
			return err
		}
		row, err := watchRowOf(ev)
		if err != nil {
			return err
		}
		if err := out(row); err != nil || args.Once && ev.Kind == replica.Synced {
			return err
		}
	}
	return nil
}

func (a watchArgs) options() (o replica.WatchOptions, err error) {
	if a.Path != "" {
		if o.Prefix, err = a.path(); err != nil {
			return o, err
		}
	}
	if a.Cursor != "" {
		if o.Cursor, err = base64.RawURLEncoding.DecodeString(a.Cursor); err != nil {
			return o, usagef("cursor %s: it is no cursor, or was cut", cited(a.Cursor))
		}
	}
	return o, nil
}

func watchRowOf(ev replica.WatchEvent) (watchRow, error) {
	row := watchRow{Event: ev.Kind.String()}
	if ev.Kind != replica.Change {
		row.Cursor = base64.RawURLEncoding.EncodeToString(ev.Cursor)
		return row, nil
	}
	row.Path, row.Type = ev.Path.String(), ev.Type.String()
	value, err := crdt.FoldJSON(ev.At, ev.Path, ev.Type)
	switch {
	case errors.Is(err, crdt.ErrMissing), errors.Is(err, crdt.ErrWrongType):
		row.Event = "removal"
	case errors.Is(err, crdt.ErrUnknownType):
	case err != nil:
		return row, err
	}
	row.Value = value
	return row, nil
}
