package protocol

import "github.com/anabranch-db/anabranch/crdt"

// simFrame is a frame on its way, and, beside the bytes, the truth about the
// delta that it is part of, which the receiver checks what it concludes with.
type simFrame struct {
	frame   Frame
	bytes   []byte
	machine bool // of a Send or Introduce
	lane    Lane
	truth   *simTruth
}

type simTruth struct {
	from, to crdt.Vector // what the delta builds on; the snapshot's vector
	put      crdt.Dot    // of a Put: what it says
}

// simPut names a Put that came: its Apply has a body of the machine's making.
type simPut struct {
	link LinkID
	dot  crdt.Dot
}

// simLink is a link between two nodes; end 0 dialed. Queues are by the end
// that sends.
type simLink struct {
	world   *simWorld
	nodes   [2]*simNode
	ids     [2]LinkID
	up      [2]bool // the end's machine was told of the link
	down    [2]bool // ... and has forgotten it
	dead    bool
	out     [2][Lanes][]simFrame // queued at the sender
	wire    [2][]simFrame        // on the way
	stamp   [2]Stamper
	pending [2][Lanes]int  // frames of the machine in out
	flushed [2][Lanes]bool // a Flushed is due
}

func (w *simWorld) connect(a, b *simNode) *simLink {
	l := &simLink{world: w, nodes: [2]*simNode{a, b}}
	for end := range l.ids {
		w.lastLink++
		l.ids[end] = w.lastLink
	}
	w.links = append(w.links, l)
	return l
}

// cut breaks the link. What was on the way is lost.
func (l *simLink) cut() {
	l.dead = true
	l.out, l.wire = [2][Lanes][]simFrame{}, [2][]simFrame{}
	l.flushed = [2][Lanes]bool{}
}

func (l *simLink) queue(end int, f simFrame) {
	if l.dead {
		return
	}
	if f.machine {
		l.pending[end][f.lane]++
	}
	l.out[end][f.lane] = append(l.out[end][f.lane], f)
}

// transmit puts the next frame of a lane on the wire.
func (l *simLink) transmit(end int, lane Lane) {
	f := l.out[end][lane][0]
	l.out[end][lane] = l.out[end][lane][1:]
	if f.machine {
		if l.pending[end][lane]--; l.pending[end][lane] == 0 {
			l.flushed[end][lane] = true
		}
	}
	f.bytes = l.stamp[end].Stamp(f.frame)
	l.world.stats.frames++
	l.world.stats.bytes += len(f.bytes)
	l.wire[end] = append(l.wire[end], f)
}

// deliver hands the next frame of the other end to this one.
func (l *simLink) deliver(end int) {
	f := l.wire[1-end][0]
	l.wire[1-end] = l.wire[1-end][1:]
	n := l.nodes[end]
	if f.truth != nil && isPut(f.bytes) {
		n.puts[simPut{l.ids[end], f.truth.put}] = f.truth
		n.world.stats.puts++
	} else if f.truth != nil {
		n.truths[&f.bytes[len(f.bytes)-1]] = f.truth
	}
	n.step(Received{l.ids[end], f.bytes})
}

// linkOf returns a node's link and which end of it the node is.
func (n *simNode) linkOf(id LinkID) (*simLink, int) {
	for _, l := range n.world.links {
		for end := range l.ids {
			if l.ids[end] == id {
				return l, end
			}
		}
	}
	return nil, 0
}

// linked reports whether the two have a link that works.
func (w *simWorld) linked(a, b *simNode) bool {
	for _, l := range w.links {
		if !l.dead && (l.nodes == [2]*simNode{a, b} || l.nodes == [2]*simNode{b, a}) {
			return true
		}
	}
	return false
}

// tidy drops links that both ends have forgotten.
func (w *simWorld) tidy() {
	kept := w.links[:0]
	for _, l := range w.links {
		if !l.dead || !l.down[0] || !l.down[1] {
			kept = append(kept, l)
		}
	}
	w.links = kept
}
