package sim

import "github.com/anabranch-db/anabranch/replica/protocol"

// wallClock is a clock that may be wrong. Virtual time, by which all is
// scheduled, is apart from it.
type wallClock struct {
	offset  int64 // milliseconds since 1970 when the run began
	drift   int64 // parts per million
	stepped int64
}

func (c *wallClock) at(now int64) int64 {
	return max(0, c.offset+c.stepped+now+now*c.drift/1_000_000)
}

// setClock makes a node's clock wrong, or right.
func (w *world) setClock(a, _ *Node, d *Draw) {
	const hour, day = 3_600_000, 24 * 3_600_000
	switch d.IntN(6) {
	case 0:
		w.fault("clock-an-hour-back")
		a.clock.stepped -= hour
	case 1:
		w.fault("clock-step")
		a.clock.stepped += int64(d.IntN(2*day)) - day
	case 2:
		w.fault("clock-at-1970")
		a.clock.stepped = -epoch
	case 3:
		w.fault("clock-10-years-ahead")
		a.clock.stepped = 10 * 365 * day
	case 4:
		w.fault("clock-drift")
		a.clock.drift = int64(d.IntN(400)) - 200
	case 5:
		a.clock.stepped, a.clock.drift = 0, 0
	}
	if a.has(protocol.FeatureClocks) {
		a.step(protocol.WallClock{Millis: a.WallMillis()})
	}
}
