package sim

import "github.com/anabranch-db/anabranch/replica/protocol"

// tamper has the link of two nodes fail its promise once, as a transport would
// that is broken: a frame is lost, comes twice, or behind the next one. The link
// is to end, and nothing else is to come of it. Or a frame of a link that has
// closed comes late, of which nothing is to come at all.
func (w *world) tamper(a, b *Node, d *Draw) {
	if a.late != nil && d.In(200) {
		w.fault("frame-of-an-older-link")
		a.step(protocol.Received{Link: a.late.link, Frame: a.late.frame})
		return
	}
	for _, e := range a.ends {
		if e.far.node != b || len(e.last) == 0 || !e.up || e.down {
			continue
		}
		e.link.forged = true
		switch d.IntN(3) {
		case 0:
			e.loses = true
		case 1:
			w.fault("frame-again")
			e.carry(e.last[d.IntN(len(e.last))])
		case 2:
			e.swaps = true
		}
		return
	}
}

// lateFrame is a frame that is still somewhere in a process when its link is
// closed.
type lateFrame struct {
	link  protocol.LinkID
	frame []byte
}

// dispatch puts a frame on the path, if it is not to be lost, or is not held up
// until the one behind it is on its way.
func (e *end) dispatch(bytes []byte) {
	w := e.link.world
	switch {
	case e.loses:
		e.loses = false
		w.fault("frame-lost")
		d := w.draw("lost", uint64(e.id)) // the link ends, by what comes next or by itself
		e.node.after(int64(1000+d.IntN(29_000)), e.linkDown)
	case e.swaps && e.held == nil:
		e.held = bytes
		e.node.after(5000, e.release)
	default:
		if e.carry(bytes); e.held != nil {
			w.fault("frames-swapped")
			e.release()
		}
	}
}

// release sends what was held up.
func (e *end) release() {
	if held := e.held; held != nil && !e.down {
		e.held, e.swaps = nil, false
		e.carry(held)
	}
}
