package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"strings"

	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

// reading is one window of one machine.
type reading struct {
	machine string
	window  *vibration.Window
	truth   string // what is wrong with the machine, "" where nobody knows
}

// errInput marks input that holds no reading.
var errInput = errors.New("invalid input")

// maxLineBytes bounds a line of input: a window takes 8 KiB at its longest,
// and this leaves room for a generous writer of white space.
const maxLineBytes = 64 << 10

// simulated yields the windows of a site's pumps in turn, without end. The
// site's name decides them: two sites have different pumps, and a site has the
// same windows at every start.
func simulated(site string) iter.Seq2[reading, error] {
	// Most pumps are well; one of each fault is not.
	pumps := []vibration.Fault{
		vibration.Normal, vibration.Imbalance, vibration.Normal,
		vibration.Looseness, vibration.Normal, vibration.Bearing,
	}
	seed := fnv.New64a()
	seed.Write([]byte(site))
	return func(yield func(reading, error) bool) {
		rig := vibration.NewRig(vibration.Field, seed.Sum64())
		for {
			for i, fault := range pumps {
				machine := fmt.Sprintf("%s-pump-%d", site, i+1)
				if !yield(reading{machine, rig.Window(fault), fault.String()}, nil) {
					return
				}
			}
		}
	}
}

// recorded yields the readings of in, a JSON object a line:
//
//	{"machine":"pump-7","samples":[12,-3,...]}
//
// It ends at the end of in, or with the first error, which names the line.
func recorded(in io.Reader) iter.Seq2[reading, error] {
	return func(yield func(reading, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxLineBytes)
		line := 1
		for ; lines.Scan(); line++ {
			r, err := parseReading(lines.Text())
			if err != nil {
				yield(reading{}, fmt.Errorf("line %d: %w", line, err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(reading{}, fmt.Errorf("line %d: %w", line, err))
		}
	}
}

func parseReading(line string) (reading, error) {
	var fields struct {
		Machine string  `json:"machine"`
		Samples []int16 `json:"samples"`
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&fields); err != nil {
		return reading{}, fmt.Errorf("%w: %w", errInput, err)
	}
	switch {
	case d.More():
		return reading{}, fmt.Errorf("%w: more than one value", errInput)
	case fields.Machine == "":
		return reading{}, fmt.Errorf("%w: no machine", errInput)
	case len(fields.Samples) != vibration.WindowSamples:
		return reading{}, fmt.Errorf("%w: %d samples of %q, want %d",
			errInput, len(fields.Samples), fields.Machine, vibration.WindowSamples)
	}
	w := vibration.Window(fields.Samples)
	return reading{machine: fields.Machine, window: &w}, nil
}
