package sim

import (
	"slices"

	"github.com/anabranch-db/anabranch/replica/protocol"
)

// link is a connection of two nodes. It keeps the order of frames, as QUIC
// does, while the path below loses, delays and parts.
type link struct {
	world  *world
	number uint64
	ends   [2]*end // the first dialed
	forged bool    // a frame was tampered with: an end may complain
}

// end is one end of a link.
type end struct {
	link    *link
	node    *Node
	run     uint64 // of the node
	far     *end
	id      protocol.LinkID
	up      bool // the machine was told of it
	down    bool // ... and has forgotten it
	lanes   [protocol.Lanes][]frame
	owed    [protocol.Lanes]int // frames of the machine in a lane
	stamp   protocol.Stamper
	sending bool
	sent    uint64
	last    [][]byte // frames that were sent, for replays
	arrives int64    // when the last frame does that is on its way
	early   [][]byte // came before the end was up
	stalled [][]byte // came while the path was cut
	loses   bool     // the next frame
	swaps   bool     // the next frame with the one behind it,
	held    []byte   // which is this
	// credential is the peer's when the link came up; nil: it grants all.
	credential credential
}

// frame is a frame on its way, and whether the machine gave it.
type frame struct {
	frame   protocol.Frame
	machine bool
	then    func() // once it is sent; may be nil
}

// dial makes a link, if the nodes can reach each other.
func (w *world) dial(from, to *Node) {
	if !from.running || !to.running || from == to || w.cut(from, to) || w.cut(to, from) {
		return
	}
	w.links++
	l := &link{world: w, number: w.links}
	for i, n := range []*Node{from, to} {
		w.linkIDs++
		l.ends[i] = &end{link: l, node: n, run: n.run, id: protocol.LinkID(w.linkIDs)}
	}
	l.ends[0].far, l.ends[1].far = l.ends[1], l.ends[0]
	d := w.draw("dial", l.number)
	for _, e := range l.ends {
		e.node.ends = append(e.node.ends, e)
		e.node.after(int64(1+d.IntN(30)), e.linkUp)
	}
}

func (e *end) linkUp() {
	if e.down {
		return
	}
	e.up = true
	e.credential = e.far.node.grants
	e.node.step(protocol.LinkUp{
		Link: e.id, Peer: e.far.node.id, Instance: e.far.node.instanceOf(e.far.run),
		Dialed: e.link.ends[0] == e, Class: e.node.class, Grants: e.peerGrants(),
	})
	early := e.early
	e.early = nil
	for _, f := range early {
		e.receive(f)
	}
}

// queue queues a frame on a lane.
func (e *end) queue(at protocol.Lane, f frame) {
	if e.down {
		return
	}
	if f.machine {
		e.owed[at]++
	}
	e.lanes[at] = append(e.lanes[at], f)
	e.pump()
}

// pump sends what is queued, a frame at a time.
func (e *end) pump() {
	lane, found := e.nextLane()
	if e.sending || !found {
		return
	}
	e.sending = true
	d := e.link.world.draw("pump", uint64(e.id), e.sent)
	e.node.after(int64(d.IntN(3)), func() {
		e.sending = false
		if e.down {
			return
		}
		if lane, found = e.nextLane(); found {
			e.transmit(lane)
			e.pump()
		}
	})
}

// nextLane draws a lane of which a frame goes next: nothing is to rest on the
// order of lanes, but that the first goes ahead.
func (e *end) nextLane() (protocol.Lane, bool) {
	var full []protocol.Lane
	for i := range e.lanes {
		if len(e.lanes[i]) > 0 {
			full = append(full, protocol.Lane(i))
		}
	}
	switch {
	case len(full) == 0:
		return 0, false
	case full[0] == 0:
		return 0, true
	}
	d := e.link.world.draw("lane", uint64(e.id), e.sent)
	return full[d.IntN(len(full))], true
}

// transmit puts the next frame of a lane on the wire.
func (e *end) transmit(lane protocol.Lane) {
	f := e.lanes[lane][0]
	e.lanes[lane] = e.lanes[lane][1:]
	bytes := e.stamp.Stamp(f.frame)
	e.sent++
	e.link.world.count.Frames++
	e.link.world.count.Bytes += uint64(len(bytes))
	e.link.world.hash.bytes(bytes)
	e.node.use(len(bytes))
	if e.last = append(e.last, bytes); len(e.last) > 4 {
		e.last = e.last[1:]
	}
	e.dispatch(bytes)
	if f.machine {
		if e.owed[lane]--; e.owed[lane] == 0 {
			e.node.post(func() {
				if e.up && !e.down && e.owed[lane] == 0 {
					e.node.step(protocol.Flushed{Link: e.id, Lane: lane})
				}
			})
		}
	}
	if f.then != nil {
		f.then()
	}
}

// carry brings a frame to the far end.
func (e *end) carry(bytes []byte) {
	w := e.link.world
	d := w.draw("wire", uint64(e.id), e.sent)
	delay := int64(w.latency + d.IntN(w.latency+1))
	if d.In(w.lossPerMille) {
		w.fault("loss")
		delay += int64(100 + d.IntN(400)) // lost, and sent again below
	}
	e.arrives = max(e.arrives, w.schedule.now+delay)
	far := e.far
	far.node.afterIn(far.run, e.arrives-w.schedule.now, func() { far.arrive(bytes) })
}

// arrive takes a frame from the path.
func (e *end) arrive(bytes []byte) {
	switch {
	case e.down:
	case e.link.world.cut(e.far.node, e.node) || len(e.stalled) > 0:
		e.link.world.fault("stall")
		e.stalled = append(e.stalled, bytes)
	case !e.up:
		e.early = append(e.early, bytes)
	default:
		e.receive(bytes)
	}
}

// mended delivers what waited for a cut to end.
func (e *end) mended() {
	stalled := e.stalled
	e.stalled = nil
	for _, f := range stalled {
		e.arrive(f)
	}
}

func (e *end) receive(bytes []byte) {
	if e.down {
		return
	}
	n := e.node
	n.use(len(bytes))
	if n.has(protocol.FeatureClocks) {
		n.step(protocol.WallClock{Millis: n.WallMillis()})
	}
	n.step(protocol.Received{Link: e.id, Frame: bytes})
}

// linkDown ends this end.
func (e *end) linkDown() {
	if e.down {
		return
	}
	e.close()
	if e.up && e.node.run == e.run && e.node.running {
		e.node.step(protocol.LinkDown{Link: e.id})
	}
}

// close forgets this end, and has the far one hear of it in time.
func (e *end) close() {
	if e.down {
		return
	}
	e.down = true
	e.lanes = [protocol.Lanes][]frame{}
	n := e.node
	if last := e.far.last; len(last) > 0 {
		n.late = &lateFrame{e.id, last[0]}
	}
	n.ends = slices.DeleteFunc(n.ends, func(o *end) bool { return o == e })
	n.forget(e)
	w := e.link.world
	d := w.draw("close", uint64(e.id))
	delay := int64(1 + d.IntN(2*w.latency+1))
	if d.In(200) { // the last packet is lost, too
		delay = int64(1000 + d.IntN(30_000))
	}
	e.far.node.afterIn(e.far.run, delay, e.far.linkDown)
	n.redial(e.far.node)
}

// expire ends a link one end of which hears nothing.
func (e *end) expire() {
	d := e.link.world.draw("expire", uint64(e.id), uint64(e.link.world.schedule.now))
	e.node.afterIn(e.run, int64(1000+d.IntN(29_000)), func() {
		if e.link.world.cut(e.far.node, e.node) {
			e.linkDown()
		}
	})
}
