package model

import (
	"math"
	"math/rand/v2"

	"github.com/anabranch-db/anabranch/examples/inference/exact"
	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

// Example is a window's features and what was wrong with the machine.
type Example struct {
	Features *vibration.Features
	Fault    vibration.Fault
}

const (
	// epochs is how often training sees each example: twice as often gains
	// nothing on windows that were held out.
	epochs = 60
	// firstRate is the learning rate at the start; it falls to zero, in
	// proportion to what is left to do.
	firstRate = 0.02
	// decay pulls weights to zero, so that few examples are not learned by
	// heart.
	decay = 1e-4
)

// Train returns a classifier of the examples, by stochastic gradient descent
// on the cross entropy. The same examples in the same order and the same seed
// give the same bits on every machine. There must be at least one example.
func Train(examples []Example, seed uint64) *Classifier {
	random := rand.NewPCG(seed, 0)
	c := new(Classifier)
	c.standardize(examples)
	for j := range c.first {
		start(c.first[j][:inputs], random)
	}
	for k := range c.second {
		start(c.second[k][:hidden], random)
	}
	order := make([]int, len(examples))
	for i := range order {
		order[i] = i
	}
	steps, done := epochs*len(examples), 0
	for range epochs {
		shuffle(order, random)
		for _, i := range order {
			left := float64(steps-done) / float64(steps)
			c.descend(examples[i], float64(firstRate*left))
			done++
		}
	}
	return c
}

// standardize sets the mean and the deviation of each feature.
func (c *Classifier) standardize(examples []Example) {
	n := float64(len(examples))
	for i := range inputs {
		sum, squares := 0.0, 0.0
		for _, e := range examples {
			sum += e.Features[i]
		}
		c.mean[i] = sum / n
		for _, e := range examples {
			off := e.Features[i] - c.mean[i]
			squares = exact.MulAdd(off, off, squares)
		}
		c.deviation[i] = math.Sqrt(squares / n)
		if c.deviation[i] == 0 {
			c.deviation[i] = 1
		}
	}
}

// descend takes one step down the gradient of one example's loss.
func (c *Classifier) descend(e Example, rate float64) {
	in, mid, out := c.forward(e.Features)
	out[e.Fault]-- // the gradient of the cross entropy by the scores
	var back [hidden]float64
	for j := range back {
		if mid[j] == 0 {
			continue // the unit was off: nothing flows back through it
		}
		for k := range c.second {
			back[j] = exact.MulAdd(out[k], c.second[k][j], back[j])
		}
	}
	for k := range c.second {
		step(c.second[k][:], mid[:], out[k], rate)
	}
	for j := range c.first {
		step(c.first[j][:], in[:], back[j], rate)
	}
}

// step moves a unit's weights against their gradient, which is the unit's
// own times what came in.
func step(weights, in []float64, gradient, rate float64) {
	keep := 1 - float64(rate*decay)
	move := -float64(rate * gradient)
	for i, x := range in {
		weights[i] = float64(weights[i]*keep) + float64(move*x)
	}
}

// start gives weights small values to break the symmetry of the units: uniform
// with a variance of 2/n (He et al., 2015).
func start(weights []float64, random *rand.PCG) {
	bound := math.Sqrt(6 / float64(len(weights)))
	for i := range weights {
		weights[i] = float64(bound * (float64(2*exact.Unit(random.Uint64())) - 1))
	}
}

// shuffle orders at random (Fisher and Yates); the bias of the remainder is
// below 2^-50.
func shuffle(order []int, random *rand.PCG) {
	for i := len(order) - 1; i > 0; i-- {
		j := int(random.Uint64() % uint64(i+1))
		order[i], order[j] = order[j], order[i]
	}
}
