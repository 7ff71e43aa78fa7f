package model

import (
	"math"

	"github.com/anabranch-db/anabranch/examples/inference/exact"
	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

const (
	inputs  = vibration.FeatureCount
	outputs = vibration.Faults
	// hidden is the width of the hidden layer: 16 and 32 are no better on
	// windows that were held out.
	hidden = 8
)

// Classifier tells faults apart by their features. It is immutable once made,
// and safe for concurrent use.
type Classifier struct {
	// What the features are brought to mean 0 and deviation 1 by.
	mean, deviation [inputs]float64
	// The weights of each unit, its bias last.
	first  [hidden][inputs + 1]float64
	second [outputs][hidden + 1]float64
}

// Prediction is what a classifier makes of a window's features.
type Prediction struct {
	Fault vibration.Fault
	// Score is the probability that the model gives to Fault, 0 to 1.
	Score float64
}

// Predict returns the most probable fault, of equally probable ones the first.
func (c *Classifier) Predict(f *vibration.Features) Prediction {
	_, _, probabilities := c.forward(f)
	best := 0
	for k, p := range probabilities {
		if p > probabilities[best] {
			best = k
		}
	}
	return Prediction{vibration.Fault(best), probabilities[best]}
}

// forward returns what each layer puts out; training needs them all. The
// inputs and the hidden layer end with the constant 1 of the biases.
func (c *Classifier) forward(f *vibration.Features) (in [inputs + 1]float64, mid [hidden + 1]float64, out [outputs]float64) {
	for i, x := range f {
		in[i] = (x - c.mean[i]) / c.deviation[i]
	}
	in[inputs], mid[hidden] = 1, 1
	for j := range c.first {
		mid[j] = max(0, exact.Dot(c.first[j][:], in[:]))
	}
	for k := range c.second {
		out[k] = exact.Dot(c.second[k][:], mid[:])
	}
	softmax(out[:])
	return in, mid, out
}

// softmax turns scores into probabilities, in place.
func softmax(scores []float64) {
	greatest := math.Inf(-1)
	for _, s := range scores {
		greatest = max(greatest, s)
	}
	sum := 0.0
	for k, s := range scores {
		scores[k] = exact.Exp(s - greatest)
		sum += scores[k]
	}
	for k := range scores {
		scores[k] /= sum
	}
}
