package sim

import "fmt"

// clocks wants of the times that a run of a node gives its writes that they only
// grow, and are ahead of its own clock by no more than the skew bound, however
// wrong the clocks of others are.
var clocks = checker{
	name: "clocks",
	state: func(_ *world, sp *space, _ *state) string {
		switch first := sp.issued.before; {
		case sp.issued.last < first:
			return fmt.Sprintf("%s: a write at %d after one at %d", sp.name, sp.issued.last, first)
		case sp.issued.last.Millis() > sp.latest+maxSkewMillis+1:
			return fmt.Sprintf("%s: a write at %d ms by a clock that said %d at the latest", sp.name, sp.issued.last.Millis(), sp.latest)
		}
		return ""
	},
}
