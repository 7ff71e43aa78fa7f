package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/anabranch-db/anabranch/internal/bench"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	bench.Options
	run, chart, accepted string
	list                 bool
}

func benchCommand(g *globals) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what this machine makes of it, beside the raw limits",
		Long: `Bench measures each row beside its raw limit, in turns, in the same run: bare
Pebble with the same batches, bare QUIC with the same frames, a Go map,
hand-written code. Only the ratio of the two means anything. It prints the median
of the repetitions with the least and the greatest, and what the goal is.

It needs some gigabytes on the disk that is measured (--dir), and takes them away
afterwards. With --accepted, a file that bench -o json printed, it fails (exit
code 1) where a ratio has become worse than it was, by more than the noise, and
still is when it is measured twice more.`,
		Example: "  anabranch bench --run 'set|read'\n  anabranch bench --chart bench.svg\n  anabranch bench -o json > accepted.json\n  anabranch bench --accepted accepted.json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBench(cmd, g, &f) },
	}
	cmd.Flags().StringVar(&f.run, "run", "", "only rows whose names match this `regexp`")
	cmd.Flags().BoolVar(&f.list, "list", false, "list the rows, and measure nothing")
	cmd.Flags().IntVar(&f.Repetitions, "repetitions", 5, "how often each row is measured")
	cmd.Flags().IntVar(&f.Keys, "keys", 1_000_000, "how many keys a full store has")
	cmd.Flags().StringVar(&f.Dir, "dir", "", "measure on the disk of this `folder` (default: that of temporary files)")
	cmd.Flags().StringVar(&f.chart, "chart", "", "write a chart to this SVG `file`")
	cmd.Flags().StringVar(&f.Profiles, "cpuprofiles", "", "write a CPU profile of each row to this `folder`, for 'go tool pprof'")
	cmd.Flags().StringVar(&f.accepted, "accepted", "", "fail where a ratio is worse than in this `file`")
	return cmd
}

func (f *benchFlags) rows() (rows []bench.Row, err error) {
	if f.Repetitions < 1 || f.Keys < bench.MinKeys {
		return nil, usagef("--repetitions is at least 1, and --keys %d", bench.MinKeys)
	}
	match, err := regexp.Compile(f.run)
	if err != nil {
		return nil, usagef("--run: %w", err)
	}
	for _, r := range bench.Rows() {
		if match.MatchString(r.Name) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil, usagef("--run %q: no row has such a name (--list shows them)", f.run)
	}
	return rows, nil
}

// readAccepted reads what --accepted names.
func (f *benchFlags) readAccepted() ([]bench.Result, error) {
	if f.accepted == "" {
		return nil, nil
	}
	file, err := os.Open(f.accepted)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	results, err := bench.ReadResults(file)
	if err != nil {
		return nil, usagef("%s: %w", f.accepted, err)
	}
	return results, nil
}

func runBench(cmd *cobra.Command, g *globals, f *benchFlags) error {
	rows, err := f.rows()
	if err != nil {
		return err
	}
	if f.list {
		return listRows(cmd, g, rows)
	}
	accepted, err := f.readAccepted()
	if err != nil {
		return err
	}
	p := newPrinter(cmd.OutOrStdout(), g.output, "row", "ratio", "spread", "goal", "", "ours", "raw", "unit", "took")
	var results []bench.Result
	var lost error
	for i := range rows {
		start := time.Now()
		progress(cmd, "%d of %d: %s", i+1, len(rows), rows[i].Name)
		r, worse, err := measure(cmd.Context(), &rows[i], f.Options, accepted)
		if err != nil {
			return errors.Join(err, p.flush())
		}
		if err := printResult(p, &r, time.Since(start)); err != nil {
			return err
		}
		results, lost = append(results, r), errors.Join(lost, worse)
	}
	progress(cmd, "")
	if err := p.flush(); err != nil {
		return err
	}
	if f.chart != "" {
		if err := writeChart(f.chart, results); err != nil {
			return err
		}
	}
	return lost
}

// measure measures a row, and again where it lost against what was accepted: a
// busy minute of the machine is no loss, and a loss is there each time.
func measure(ctx context.Context, row *bench.Row, o bench.Options, accepted []bench.Result) (r bench.Result, lost, err error) {
	const tries = 3
	for range tries {
		if r, err = bench.Run(ctx, row, o); err != nil {
			return r, nil, err
		}
		if lost = r.CheckAccepted(accepted); lost == nil {
			break
		}
	}
	return r, lost, nil
}

// progress replaces the last line on a terminal by another.
func progress(cmd *cobra.Command, format string, args ...any) {
	out := cmd.ErrOrStderr()
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(out, "\r\x1b[K"+format, args...)
	}
}

func listRows(cmd *cobra.Command, g *globals, rows []bench.Row) error {
	p := newPrinter(cmd.OutOrStdout(), g.output, "row", "work", "raw limit", "goal")
	for _, r := range rows {
		listed := struct {
			Name string `json:"name"`
			Work string `json:"work"`
			Raw  string `json:"raw"`
			Goal string `json:"goal"`
		}{r.Name, r.Work, r.Raw, r.Goal.String()}
		if err := p.row(listed, r.Name, r.Name, r.Work, r.Raw, r.Goal.String()); err != nil {
			return err
		}
	}
	return p.flush()
}

func printResult(p *printer, r *bench.Result, took time.Duration) error {
	least, greatest := r.Spread()
	reached := "missed"
	switch {
	case r.Goal().None():
		reached = ""
	case r.Reached:
		reached = "reached"
	}
	return p.row(r, fmt.Sprintf("%s %.4g", r.Name, r.Ratio),
		r.Name, fmt.Sprintf("%.3g", r.Ratio), fmt.Sprintf("%.3g to %.3g", least, greatest), r.Goal().String(), reached,
		figure(r.Ours), figure(r.RawValue), r.Unit, took.Round(time.Second).String())
}

// figure prints a figure with three digits that count, and no exponent below
// a million.
func figure(f float64) string {
	switch {
	case f >= 1e6:
		return fmt.Sprintf("%.2fM", f/1e6)
	case f >= 1000:
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

func writeChart(name string, results []bench.Result) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(bench.Chart(file, results), file.Close())
}
