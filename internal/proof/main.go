package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		stop()
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{Use: "proof", Short: "Run the suites, and keep the account of them", SilenceErrors: true, SilenceUsage: true}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(runCommand(), &cobra.Command{
		Use: "table", Short: "Write " + tableFile + " anew from the ledger", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := moduleRoot()
			if err != nil {
				return err
			}
			return writeTable(dir)
		},
	})
	return root
}

// runOptions are the flags of proof run.
type runOptions struct {
	seeds   uint64
	first   uint64
	fuzz    time.Duration
	scratch bool
}

func runCommand() *cobra.Command {
	var o runOptions
	var names, lines []string
	for _, s := range suites {
		names = append(names, s.name)
		lines = append(lines, fmt.Sprintf("  %-12s %s", s.name, s.title))
	}
	cmd := &cobra.Command{
		Use:       "run [suite...]",
		Short:     "Run suites, enter them in the ledger, and write the table anew",
		Long:      "Run runs suites, or all of them, one after the other:\n\n" + strings.Join(lines, "\n"),
		Example:   "  go run ./internal/proof run a --seeds 200000\n  go run ./internal/proof run fuzz --fuzz-time 1m",
		ValidArgs: names,
		Args:      cobra.OnlyValidArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("seeds") && o.seeds == 0 || cmd.Flags().Changed("first") && o.first == 0 {
				return fmt.Errorf("--seeds and --first begin at 1")
			}
			if len(args) == 0 {
				args = names
			}
			return runSuites(cmd, o, args)
		},
	}
	cmd.Flags().Uint64Var(&o.seeds, "seeds", 0, "how many seeds a suite takes that has any (default: its own number)")
	cmd.Flags().Uint64Var(&o.first, "first", 0, "the first of them (default: where the ledger ends)")
	cmd.Flags().DurationVar(&o.fuzz, "fuzz-time", 0, "how long each fuzz target runs (default: 10s)")
	cmd.Flags().BoolVar(&o.scratch, "scratch", false, "enter nothing, and take a tree with changes")
	return cmd
}

// runSuites runs the suites of these names, and returns an error if a test
// failed.
func runSuites(cmd *cobra.Command, o runOptions, names []string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	var failed []string
	for _, name := range names {
		s := suiteNamed(name)
		e, err := runSuite(cmd, o, s, root)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %s, %s violations, in %v\n", s.name,
			grouped(e.Figures[s.figure]), s.unit, grouped(e.Figures[violationsFigure]), time.Duration(e.Seconds)*time.Second)
		if len(e.Failed) > 0 {
			failed = append(failed, s.name)
		}
	}
	if failed != nil {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}

func runSuite(cmd *cobra.Command, o runOptions, s *suite, root string) (e entry, err error) {
	l, err := readLedger(root)
	if err != nil {
		return e, err
	}
	commit := ""
	if !o.scratch {
		if commit, err = commitOf(root); err != nil {
			return e, err
		}
	}
	seeds := seedRange{o.first, o.seeds}
	next := l.next(s.name)
	if seeds.first == 0 {
		seeds.first = next
	}
	if s.seeds > 0 && !o.scratch && seeds.first < next {
		return e, fmt.Errorf("suite %s has had seeds up to %d: --scratch runs them again", s.name, next-1)
	}
	if seeds.count == 0 {
		seeds.count = s.seeds
	}
	r := &runner{root: root, log: cmd.ErrOrStderr()}
	start := time.Now()
	a, err := r.run(cmd.Context(), s, seeds, o.fuzz)
	if err != nil {
		return e, err
	}
	e = newEntry(commit, s, seeds, a, time.Since(start))
	if o.scratch {
		return e, nil
	}
	if now, err := commitOf(root, foundInputs); err != nil || now != commit {
		return e, errors.Join(fmt.Errorf("the tree changed during the run, which is not entered"), err)
	}
	return e, enter(root, e)
}

// moduleRoot returns the folder of the module that the command is run in.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
