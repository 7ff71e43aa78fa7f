package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// noise is by which part a ratio may be worse than the accepted one and count
// as the same: a shared machine makes medians of five repetitions differ by a
// tenth or two, and what is lost by accident is more.
const noise = 0.25

// ReadResults reads results, one JSON object after the other, as the command
// prints them.
func ReadResults(r io.Reader) (results []Result, err error) {
	for dec := json.NewDecoder(r); ; {
		var result Result
		err := dec.Decode(&result)
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err == nil && (result.Name == "" || len(result.Ratios) == 0) {
			err = errors.New("no result of a row")
		}
		if err != nil {
			return nil, fmt.Errorf("result %d, at byte %d: %w", len(results)+1, dec.InputOffset(), err)
		}
		results = append(results, result)
	}
}

// Advantage is the ratio such that greater is better: of a cost, its inverse.
func (r *Result) Advantage() float64 {
	if r.AtMost > 0 {
		return 1 / r.Ratio
	}
	return r.Ratio
}

// best is the advantage in the best repetition.
func (r *Result) best() float64 {
	least, greatest := r.Spread()
	if r.AtMost > 0 {
		return 1 / least
	}
	return greatest
}

// CheckAccepted returns an error if the row lost against the accepted result
// of the same row by more than the noise. A row that was never accepted, or
// has no goal, loses nothing.
//
// The noise is what two runs of one program differ by: that its median falls
// by a quarter happens, that its best repetition does as well hardly.
func (r *Result) CheckAccepted(accepted []Result) error {
	for i := range accepted {
		was := &accepted[i]
		if was.Name != r.Name || r.Goal().None() {
			continue
		}
		bound := was.Advantage() * (1 - noise)
		if math.Max(r.Advantage(), r.best()*(1-noise/2)) < bound {
			return fmt.Errorf("%s: the ratio was %.3g when it was accepted, and is %.3g", r.Name, was.Ratio, r.Ratio)
		}
	}
	return nil
}
