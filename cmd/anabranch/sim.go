package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/replica/sim/sweep"
)

// simRow is what a simulation did.
type simRow struct {
	Worlds       int            `json:"worlds"`
	Violations   int            `json:"violations"`
	Steps        int            `json:"steps"`
	Checks       int            `json:"states_checked"`
	Transactions int            `json:"transactions"`
	Deltas       int            `json:"deltas_merged"`
	Reconciles   int            `json:"snapshots_compared"`
	Digests      int            `json:"digests_compared"`
	Collected    int            `json:"collected"`
	Frames       uint64         `json:"frames"`
	Bytes        uint64         `json:"bytes"`
	SettleMillis int64          `json:"settle_ms"`
	Rounds       int            `json:"rounds"`
	Happened     map[string]int `json:"happened"`
	Faults       map[string]int `json:"faults"`
	Hash         string         `json:"hash"` // the same where the same happened
}

// maxSeeds bounds how many seeds a sweep runs: what counts them stays exact.
const maxSeeds = math.MaxInt32

func simCommand(g *globals) *cobra.Command {
	o := sweep.Options{Faults: sim.Faults, NewApp: func() sim.App { return sim.NewEverything() }}
	var replay string
	var trace bool
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Simulate fleets in which everything goes wrong, and check them",
		Long: `Sim runs fleets of simulated nodes on the protocol and the types as they are, over
a network that delays, loses and parts, and disks that forget what was not
synced. Devices are copied, restored and set back, clocks are wrong, removals are
collected. After every step it is checked what must hold. A run follows from its
seed alone.

A seed that fails is made small and printed, as --replay takes it. Exit code 1 if
one did.`,
		Example: "  anabranch sim --seeds 10000\n  anabranch sim --first 42 --seeds 1 --trace\n  anabranch sim --replay failure.txt --trace",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case replay == "" && cmd.Flags().Changed("replay"):
				return usagef("--replay takes a file")
			case replay != "" && (cmd.Flags().Changed("seeds") || cmd.Flags().Changed("first")):
				return usagef("--replay is of one run: it goes with neither --seeds nor --first")
			case replay != "":
				return replayPlan(cmd, g, replay, trace)
			case o.Count == 0 || o.Count > maxSeeds:
				return usagef("--seeds %d: want 1 to %d", o.Count, maxSeeds)
			case trace && o.Count == 1:
				return runPlan(cmd, g, sim.NewPlan(o.First, o.Faults), true)
			case trace:
				return usagef("--trace is of one run: --seeds 1, or --replay")
			}
			return runSweep(cmd, g, o)
		},
	}
	cmd.Flags().Uint64Var(&o.Count, "seeds", 1000, "how many seeds are run")
	cmd.Flags().Uint64Var(&o.First, "first", 1, "the first of them")
	cmd.Flags().StringVar(&replay, "replay", "", "run what is written in this `file`, and nothing else")
	cmd.Flags().BoolVar(&trace, "trace", false, "print all that happens in the one run")
	return cmd
}

// runSweep runs many seeds.
func runSweep(cmd *cobra.Command, g *globals, o sweep.Options) error {
	done, err := sweep.Run(cmd.Context(), o)
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if err := printSim(cmd.OutOrStdout(), g, &done.Count, len(done.Failures)); err != nil {
		return err
	}
	for _, f := range done.Failures {
		printFailure(cmd.ErrOrStderr(), f.Failure, f.Small)
	}
	if len(done.Failures) > 0 {
		return fmt.Errorf("%d of %d worlds failed", len(done.Failures), done.Worlds)
	}
	return err
}

// replayPlan runs what a file says.
func replayPlan(cmd *cobra.Command, g *globals, file string, trace bool) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var p sim.Plan
	if err := p.UnmarshalText(text); err != nil {
		return usagef("%s: %w", file, err)
	}
	return runPlan(cmd, g, &p, trace)
}

// runPlan runs one plan.
func runPlan(cmd *cobra.Command, g *globals, p *sim.Plan, trace bool) error {
	out := cmd.OutOrStdout()
	var tell func(string)
	if trace {
		tell = func(line string) { fmt.Fprintln(out, line) }
	}
	count, err := sim.Run(p, sim.NewEverything(), tell)
	if err != nil {
		return err
	}
	return printSim(out, g, &count, 0)
}

func printFailure(out io.Writer, f, small *sim.Failure) {
	fmt.Fprintf(out, "%v\nto see it: anabranch sim --first %d --seeds 1 --trace\n", f, f.Seed)
	if small == nil {
		return
	}
	text, _ := small.Plan.MarshalText()
	fmt.Fprintf(out, "made small, for --replay:\n\n%s\n# %s\n\n", text, strings.ReplaceAll(small.Error(), "\n", " "))
}

func printSim(out io.Writer, g *globals, c *sim.Count, failures int) error {
	row := simRow{
		Worlds: c.Worlds, Violations: failures, Steps: c.Steps, Checks: c.Checks, Transactions: c.Transactions,
		Deltas: c.Deltas, Reconciles: c.Reconciles, Digests: c.Digests, Collected: c.Collected, Frames: c.Frames, Bytes: c.Bytes,
		SettleMillis: c.SettleMillis, Rounds: c.Rounds, Happened: map[string]int{}, Faults: c.Injected(),
		Hash: fmt.Sprintf("%016x", c.Hash),
	}
	for k, n := range c.Happened {
		row.Happened[string(k)] = n
	}
	p := newPrinter(out, g.output)
	if g.output != outputTable {
		if err := p.row(row, fmt.Sprint(failures)); err != nil {
			return err
		}
		return p.flush()
	}
	for _, line := range [][2]string{
		{"worlds", fmt.Sprint(row.Worlds)}, {"violations", fmt.Sprint(row.Violations)},
		{"steps", fmt.Sprint(row.Steps)}, {"states checked", fmt.Sprint(row.Checks)},
		{"transactions", fmt.Sprint(row.Transactions)}, {"deltas merged", fmt.Sprint(row.Deltas)},
		{"snapshots compared", fmt.Sprint(row.Reconciles)}, {"digests compared", fmt.Sprint(row.Digests)},
		{"removals collected", fmt.Sprint(row.Collected)},
		{"frames", fmt.Sprintf("%d, %s", row.Frames, byteCount(row.Bytes))},
		{"slowest to agree", fmt.Sprintf("%.1f s and %d deltas after the last fault", float64(max(row.SettleMillis, 0))/1000, row.Rounds)},
		{"hash", row.Hash},
	} {
		if err := p.row(nil, "", line[0], line[1]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(row.Faults)) {
		if err := p.row(nil, "", name, fmt.Sprint(row.Faults[name])); err != nil {
			return err
		}
	}
	return p.flush()
}
