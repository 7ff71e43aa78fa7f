package replica

import (
	"cmp"
	"strconv"
	"testing"

	"github.com/anabranch-db/anabranch/replica/sim"
)

// seedFigures count what seeds did, by the attributes that a test publishes.
type seedFigures map[string]int

// seedNames are what the kinds of plans are called where whole nodes take them
// for something else than package sim does, or for no fault.
var seedNames = map[sim.Kind]string{
	sim.Act: "operations", sim.Mend: "mends", sim.Urgent: "priorities",
	sim.Break: "fault.rebind", sim.Tamper: "fault.loss-rate",
	seedUnruly: "planned.packets", seedRot: "planned.flipped-bit", seedPower: "planned.power-cut", sim.Fail: "planned.disk-error", seedFull: "planned.disk-full",
}

// add adds what one seed did.
func (f seedFigures) add(w *seedWorld) {
	f["seeds"]++
	f["packets"] += w.wire.packets
	f["fault.packet-loss"] += w.wire.lost
	f["repairs-anew"] += w.anew
	for what, n := range w.wire.faults {
		f["fault."+what] += n
	}
	for k, n := range w.happened {
		f[cmp.Or(seedNames[k], "fault."+string(k))] += n
	}
}

// publish publishes them as attributes of t.
func (f seedFigures) publish(t *testing.T) {
	f["violations"] += 0 // none is a figure, too
	for name, n := range f {
		t.Attr(name, strconv.Itoa(n))
	}
}
