package main

import (
	"github.com/anabranch-db/anabranch/examples/inference/model"
	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

// recipe is how a version came to be.
type recipe struct {
	version  string
	at       vibration.Conditions
	perFault int // windows
	seed     uint64
}

// recipes are those of model.Versions, in its order. v1 knows the test stand
// only, and a little of it; v2 came after a season in the field.
var recipes = []recipe{
	{version: "v1", at: vibration.Bench, perFault: 12, seed: 1},
	{version: "v2", at: vibration.Field, perFault: 150, seed: 2},
}

// train follows the recipe.
func (r recipe) train() *model.Classifier {
	return model.Train(measure(r.at, r.perFault, r.seed), r.seed)
}

// measure returns the features of n windows of each fault.
func measure(at vibration.Conditions, n int, seed uint64) []model.Example {
	rig, analyzer := vibration.NewRig(at, seed), vibration.NewAnalyzer()
	var examples []model.Example
	for range n {
		for fault := range vibration.Fault(vibration.Faults) {
			examples = append(examples, model.Example{
				Features: analyzer.Features(rig.Window(fault)),
				Fault:    fault,
			})
		}
	}
	return examples
}

// accuracy returns the part of the examples that c gets right, 0 to 1.
func accuracy(c *model.Classifier, examples []model.Example) float64 {
	right := 0
	for _, e := range examples {
		if c.Predict(e.Features).Fault == e.Fault {
			right++
		}
	}
	return float64(right) / float64(len(examples))
}

// heldOut returns windows of the field that no version was trained on.
func heldOut() []model.Example { return measure(vibration.Field, 100, 1000) }
