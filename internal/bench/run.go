package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
)

// MinKeys is the least that Options.Keys may be: rows write to as many.
const MinKeys = 1000

// Options say how rows are run. The zero value is good.
type Options struct {
	// Dir is a folder on the disk to measure on. Default: the system's for
	// temporary files.
	Dir string
	// Repetitions is how often each row is measured. Default: 5.
	Repetitions int
	// Keys is how many keys a full store has. Default: 1,000,000.
	Keys int
	// Profiles is a folder that a CPU profile of each row is written to, of what
	// it repeats in this process, its raw limit included: NAME.pprof, with "-" for
	// "/". Default: none.
	Profiles string
}

// A Result is what a row came to.
type Result struct {
	Name string `json:"name"`
	Work string `json:"work"`
	Raw  string `json:"raw"`
	Unit string `json:"unit"`

	Ours     float64   `json:"ours"`      // median
	RawValue float64   `json:"raw_value"` // median
	Ratio    float64   `json:"ratio"`     // median of the repetitions' ratios
	Ratios   []float64 `json:"ratios"`    // of all repetitions, ascending

	AtLeast float64 `json:"goal_at_least,omitempty"`
	AtMost  float64 `json:"goal_at_most,omitempty"`
	Reached bool    `json:"reached"`
}

// Goal is the row's.
func (r *Result) Goal() Goal { return Goal{AtLeast: r.AtLeast, AtMost: r.AtMost} }

// Spread is the least and the greatest ratio.
func (r *Result) Spread() (least, greatest float64) {
	return r.Ratios[0], r.Ratios[len(r.Ratios)-1]
}

// Run measures one row.
func Run(ctx context.Context, row *Row, o Options) (result Result, err error) {
	if o.Repetitions == 0 {
		o.Repetitions = 5
	}
	if o.Keys == 0 {
		o.Keys = 1_000_000
	}
	lab, err := newLab(ctx, o.Dir, o.Keys)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if err = errors.Join(err, lab.close()); err != nil {
			err = fmt.Errorf("%s: %w", row.Name, err)
		}
	}()
	once, err := row.Prepare(lab)
	if err != nil {
		return Result{}, err
	}
	stop, err := startProfile(o.Profiles, row.Name)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var ours, raw, ratios []float64
	for range o.Repetitions {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		pair, err := once()
		if err != nil {
			return Result{}, err
		}
		ours, raw, ratios = append(ours, pair.Ours), append(raw, pair.Raw), append(ratios, pair.Ratio())
	}
	slices.Sort(ratios)
	result = Result{
		Name: row.Name, Work: row.Work, Raw: row.Raw, Unit: row.Unit,
		Ours: median(ours), RawValue: median(raw), Ratio: median(ratios), Ratios: ratios,
		AtLeast: row.Goal.AtLeast, AtMost: row.Goal.AtMost,
	}
	result.Reached = row.Goal.Reached(result.Ratio)
	return result, nil
}

// startProfile begins a row's CPU profile, if there is a folder for it.
func startProfile(folder, row string) (stop func() error, err error) {
	if folder == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(folder, strings.ReplaceAll(row, "/", "-")+".pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// median returns the middle, or the mean of the middle two.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}
