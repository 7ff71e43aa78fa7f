package bench

import (
	"fmt"
	"math"
)

// A Row is a work, done by us and by what lies below us.
type Row struct {
	Name string // such as set/buffered: what --run selects
	Work string // what is done, in a few words
	Raw  string // what it is held against, in a few words
	Unit string // of both figures, such as "op/s" or "B"
	Goal Goal   // for ours / raw

	// Prepare makes ready what is measured, and returns what measures both
	// once. What it opens it closes by lab.Cleanup.
	Prepare func(lab *Lab) (Repetition, error)
}

// A Repetition measures both sides once, in the row's unit.
type Repetition func() (Pair, error)

// A Pair is one figure of each side.
type Pair struct{ Ours, Raw float64 }

// Ratio is ours / raw.
func (p Pair) Ratio() float64 { return p.Ours / p.Raw }

// A Goal bounds a ratio from one side. The zero value is none: the row is
// there to be seen.
type Goal struct {
	AtLeast float64 // of a rate; 0: no such bound
	AtMost  float64 // of a cost; 0: no such bound
}

// Reached tells whether a ratio is within the goal.
func (g Goal) Reached(ratio float64) bool {
	return !math.IsNaN(ratio) && ratio >= g.AtLeast && (g.AtMost == 0 || ratio <= g.AtMost)
}

// None tells whether there is no goal.
func (g Goal) None() bool { return g == Goal{} }

func (g Goal) String() string {
	switch {
	case g.AtLeast > 0:
		return fmt.Sprintf(">= %.3g", g.AtLeast)
	case g.AtMost > 0:
		return fmt.Sprintf("<= %.3g", g.AtMost)
	}
	return ""
}
