package sim

import (
	"slices"

	"github.com/anabranch-db/anabranch/replica/protocol"
)

// meter makes the links of a node cost: they carry what is urgent enough, or so
// many bytes a day; or they carry all again.
func (w *world) meter(a, _ *Node, d *Draw) {
	switch d.IntN(3) {
	case 0:
		a.meter(protocol.Class{})
	case 1:
		a.meter(protocol.Class{Metered: true, Least: pick(d, protocol.PriorityBulk, protocol.PriorityNormal, protocol.PriorityUrgent)})
	case 2:
		a.meter(protocol.Class{Metered: true, Least: protocol.PriorityBulk, BytesPerDay: uint64(500 + d.IntN(5000))})
	}
}

// meter gives the links of a node another class.
func (n *Node) meter(c protocol.Class) {
	if n.class == c {
		return
	}
	n.class = c
	n.tellClass()
}

// use counts bytes that cost. Once those of a day are used up the machine hears
// of it.
func (n *Node) use(bytes int) {
	c := &n.class
	if c.BytesPerDay == 0 || c.Used >= c.BytesPerDay {
		return
	}
	if c.Used += uint64(bytes); c.Used >= c.BytesPerDay {
		n.world.fault("bytes-used-up")
		n.post(n.tellClass)
	}
}

// tellClass tells the machine what may flow on its links.
func (n *Node) tellClass() {
	for _, e := range slices.Clone(n.ends) {
		if e.up && !e.down {
			n.step(protocol.Metered{Link: e.id, Class: n.class})
		}
	}
}
