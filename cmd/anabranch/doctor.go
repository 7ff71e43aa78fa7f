package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

func doctorHandlers() map[string]handler {
	return map[string]handler{"doctor": verb(runDoctor)}
}

// findingRow is one thing that doctor looked at.
type findingRow struct {
	Problem bool   `json:"problem"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Advice  string `json:"advice,omitempty"`
}

func doctorCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with a directory, and say what to do",
		Long: `Doctor reads all that the directory holds and changes nothing: it looks at the
format, at what must be there, at each record and its checksum, at the branches of
this node, its certificate, the room on the disk and the clock. While a daemon
serves the directory it asks the daemon, which adds what it noticed since: peers
that hold other values, transactions that were lost, twins, clocks that are ahead.

The exit code is 1 if there is a problem, else 0.`,
		Example: "  anabranch doctor --dir ./camera\n  anabranch doctor -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return doctor(cmd, g)
		},
	}
}

// errProblems ends doctor with exit code 1.
var errProblems = errors.New("there are problems")

func doctor(cmd *cobra.Command, g *globals) error {
	ctx := cmd.Context()
	p := newPrinter(cmd.OutOrStdout(), g.output, "", "subject", "finding", "what to do")
	problems := false
	each := func(r findingRow) error {
		mark := "good"
		if r.Problem {
			mark, problems = "PROBLEM", true
		}
		cells := []string{mark, r.Subject, r.Text}
		if r.Advice != "" {
			cells = append(cells, r.Advice)
		}
		return p.row(r, strings.Join(cells, "\t"), cells...)
	}
	if _, err := os.Stat(g.dir); err != nil {
		return missingf("no directory %s", g.dir)
	}
	err := retry(ctx, replica.ErrInUse, func() error {
		conn, err := dialDaemon(ctx, g.dir)
		if err == nil {
			defer conn.Close()
			return callDaemon(ctx, conn, socketRequest{"doctor", json.RawMessage("{}"), false}, nil, func(raw json.RawMessage) error {
				var r findingRow
				if err := json.Unmarshal(raw, &r); err != nil {
					return err
				}
				return each(r)
			})
		}
		if !errors.Is(err, errNoDaemon) {
			return err
		}
		found, err := replica.Diagnose(ctx, g.dir)
		for _, f := range found {
			err = errors.Join(err, each(findingRow(f)))
		}
		return err
	})
	if err = errors.Join(err, p.flush()); err == nil && problems {
		err = errProblems
	}
	return err
}

func runDoctor(ctx context.Context, db *replica.DB, _ struct{}, out emit) error {
	found, err := db.Diagnose(ctx)
	for _, f := range found {
		err = errors.Join(err, out(findingRow(f)))
	}
	return err
}
