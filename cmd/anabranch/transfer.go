package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

func transferHandlers() map[string]handler {
	return map[string]handler{
		"export": verb(runExport),
		"import": runImport,
	}
}

func exportCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "export [NAMESPACE...]",
		Short: "Print all that can be read, as lines of JSON that import reads",
		Long: `Export prints what can be read at one moment of each namespace named, or of all,
as lines of JSON: values, without their history. 'import' reads them.`,
		Example: "  anabranch export edge > edge.ndjson",
		RunE: func(cmd *cobra.Command, args []string) error {
			w := bufio.NewWriter(cmd.OutOrStdout())
			err := call(cmd.Context(), g, "export", exportArgs{args}, func(line json.RawMessage) error {
				_, err := fmt.Fprintf(w, "%s\n", line)
				return err
			})
			if err != nil {
				return err
			}
			return w.Flush()
		},
	}
}

type (
	exportArgs struct {
		Namespaces []string `json:"namespaces"`
	}
	importArgs struct {
		Namespace string `json:"namespace,omitempty"`
	}
	importRow struct {
		Lines        int `json:"lines"`
		Transactions int `json:"transactions"`
		Conflicts    int `json:"conflicts"`
	}
)

func importCommand(g *globals) *cobra.Command {
	var args importArgs
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Write what export printed, from a file or standard input",
		Long: `Import makes all that the lines name read as they say; anything else stays. It
commits every few thousand lines: where a line is wrong, those before it stand,
the error names it, and to import again does no harm.`,
		Example: "  anabranch import edge.ndjson\n  anabranch export edge | anabranch --dir ./other import --namespace copy",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, positional []string) error {
			in := cmd.InOrStdin()
			if len(positional) == 1 && positional[0] != "-" {
				f, err := os.Open(positional[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			p := newPrinter(cmd.OutOrStdout(), g.output)
			err := callWith(cmd.Context(), g, "import", args, in, func(r importRow) error {
				text := fmt.Sprintf("%d lines in %d transactions", r.Lines, r.Transactions)
				if r.Conflicts > 0 {
					text += fmt.Sprintf("; of %d registers with several values only the latest", r.Conflicts)
				}
				return p.row(r, text, text)
			})
			if err != nil {
				return err
			}
			return p.flush()
		},
	}
	cmd.Flags().StringVar(&args.Namespace, "namespace", "", "put all lines into this namespace")
	return cmd
}

func runExport(ctx context.Context, db *replica.DB, args exportArgs, out emit) error {
	return db.Export(ctx, lineWriter{out}, args.Namespaces...)
}

// lineWriter emits each line written to it as a row. Export writes a line at
// a time.
type lineWriter struct{ out emit }

func (w lineWriter) Write(line []byte) (int, error) {
	if err := w.out(json.RawMessage(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func runImport(ctx context.Context, db *replica.DB, raw json.RawMessage, in io.Reader, out emit) error {
	var args importArgs
	if err := json.Unmarshal(raw, &args); err != nil {
		return usagef("request: %w", err)
	}
	result, err := db.Import(ctx, in, replica.ImportOptions{Namespace: args.Namespace})
	if err != nil {
		return err
	}
	return out(importRow{result.Lines, result.Transactions, result.Conflicts})
}
