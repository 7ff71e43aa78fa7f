package model

import (
	"math"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

func TestPredictionsAreProbabilities(t *testing.T) {
	c, err := Load("v2")
	if err != nil {
		t.Fatal(err)
	}
	rig, analyzer := vibration.NewRig(vibration.Field, 7), vibration.NewAnalyzer()
	for range 50 {
		for fault := range vibration.Fault(vibration.Faults) {
			f := analyzer.Features(rig.Window(fault))
			_, _, out := c.forward(f)
			sum, greatest := 0.0, 0.0
			for _, p := range out {
				sum += p
				greatest = max(greatest, p)
			}
			if p := c.Predict(f); math.Abs(sum-1) > 1e-12 || p.Score != greatest || out[p.Fault] != greatest {
				t.Fatalf("predicted %v from %v", p, out)
			}
		}
	}
}

// The gradient that descend follows is that of the loss: a small step lowers
// the loss by as much as the gradient's square says.
func TestAStepDescendsTheLoss(t *testing.T) {
	rig, analyzer := vibration.NewRig(vibration.Field, 8), vibration.NewAnalyzer()
	var examples []Example
	for fault := range vibration.Fault(vibration.Faults) {
		examples = append(examples, Example{analyzer.Features(rig.Window(fault)), fault})
	}
	c := Train(examples, 1)
	loss := func(c *Classifier, e Example) float64 {
		_, _, out := c.forward(e.Features)
		return -math.Log(out[e.Fault])
	}
	e := Example{examples[0].Features, vibration.Bearing} // wrong on purpose
	const rate = 1e-7
	before, after := *c, *c
	after.descend(e, rate)
	square := 0.0
	for _, pair := range moved(&before, &after) {
		g := pair / rate
		square += g * g
	}
	got, want := (loss(&before, e)-loss(&after, e))/rate, square
	if math.Abs(got/want-1) > 0.01 {
		t.Errorf("the loss fell by %v a unit of rate, the gradient's square is %v", got, want)
	}
}

// moved returns by how much each number differs.
func moved(a, b *Classifier) (by []float64) {
	var all []float64
	for part := range a.parts {
		all = append(all, part...)
	}
	for part := range b.parts {
		for _, x := range part {
			by = append(by, x-all[len(by)])
		}
	}
	return by
}
