package protocol

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// chaos lets things happen, in an order and at a pace that are drawn.
func (w *simWorld) chaos(steps int) {
	rates := []int{0, 0, 5, 50, 200}
	w.buildFails = rates[w.rng.IntN(len(rates))]
	w.applyFails = rates[w.rng.IntN(len(rates))]
	w.learnFails = rates[w.rng.IntN(len(rates))]
	calm := 1 + w.rng.IntN(30) // moves for each thing from outside
	faults := w.rng.IntN(3)    // 0: nothing but writes and links
	var ms []move
	for range steps {
		w.outside(faults)
		for range calm {
			if ms = w.moves(ms[:0]); len(ms) == 0 {
				break
			}
			w.do(ms[w.rng.IntN(len(ms))])
		}
	}
}

// outside has one thing happen that no node decides.
func (w *simWorld) outside(faults int) {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	name := w.names[w.rng.IntN(len(w.names))]
	sp := n.spaces[name]
	switch r := w.rng.IntN(100); {
	case r < 50:
		if sp != nil {
			w.randomWrite(sp)
		}
	case r < 58:
		w.askToSpare(n)
	case r < 60:
		w.tracef("%d %s changes its mind on %s", w.now, n.name(), name)
		n.step(Prioritized{name, Priority(w.rng.IntN(3) - 1)})
	case r < 62:
		for _, l := range n.m.Links() {
			used := w.class
			used.Used = uint64(w.rng.IntN(2))
			n.step(Metered{l.Link, used})
		}
	case r < 70:
		o := w.nodes[w.rng.IntN(len(w.nodes))]
		if o != n && (!w.linked(n, o) || w.rng.IntN(4) == 0) {
			w.tracef("%d connect %s %s", w.now, n.name(), o.name())
			w.connect(n, o)
		}
	case r < 76:
		if len(w.links) > 0 {
			w.links[w.rng.IntN(len(w.links))].cut()
		}
	case r < 88:
		w.now += int64(w.rng.IntN(30))
		w.fireDue()
	case r < 90:
		w.fireTimers()
	case faults == 0:
	case r == 90:
		if len(w.nodes) < 6 {
			w.tracef("%d %s is copied", w.now, n.name())
			w.copyNode(n)
		}
	case r < 94:
		n.restart(faults == 2 && w.rng.IntN(3) == 0)
	case sp == nil:
		n.open(name)
	case r < 96:
		n.drop(name)
	}
}

// askToSpare has a node ask its peers to spare it what any nodes write, linked
// to it or not: what it gets is to be right all the same.
func (w *simWorld) askToSpare(n *simNode) {
	for _, l := range n.m.links {
		link, end := n.linkOf(l.id)
		for _, s := range l.sessions {
			if !s.met() || !l.speaks(FeatureSpare) || s.owes.refusal != 0 || w.rng.IntN(2) == 0 {
				continue
			}
			var nodes []crdt.NodeID
			for _, o := range w.nodes {
				if w.rng.IntN(3) > 0 {
					nodes = withNode(nodes, o.id)
				}
			}
			s.asked = s.asked.with(nodes)
			link.queue(end, simFrame{frame: (&spare{s.number, s.recvEpoch, nodes}).encode(), machine: true, lane: s.space.priority.lane()})
		}
	}
}

func (w *simWorld) randomWrite(sp *simSpace) {
	keys := []crdt.Key{w.keys[w.rng.IntN(len(w.keys))]}
	if k := w.keys[w.rng.IntN(len(w.keys))]; k != keys[0] && w.rng.IntN(3) == 0 {
		keys = append(keys, k)
	}
	w.tracef("%d %s writes %d keys in %s", w.now, sp.node.name(), len(keys), sp.name)
	sp.write(keys, w.rng.IntN(4) == 0, []byte{byte(w.now)})
}

// fireDue fires the timers that are due now.
func (w *simWorld) fireDue() {
	for _, n := range w.nodes {
		if n.timerAt != 0 && n.timerAt <= w.now {
			n.timerAt = 0
			n.step(Tick{})
		}
	}
}

// heal ends all faults and links the nodes: as a random tree with some links
// more, or all with all if some node does not have some namespace.
func (w *simWorld) heal() {
	w.buildFails, w.applyFails, w.learnFails = 0, 0, 0
	for _, n := range w.nodes {
		for _, l := range n.m.Links() {
			n.step(Metered{l.Link, w.class})
		}
	}
	everywhere := w.rng.IntN(4) > 0
	for _, n := range w.nodes {
		for _, name := range w.names {
			if everywhere && n.spaces[name] == nil {
				n.open(name)
			}
		}
	}
	w.wanted = nil
	for i, n := range w.nodes {
		for j, o := range w.nodes[:i] {
			if !everywhere || j == w.tree[i] || w.rng.IntN(3) == 0 {
				w.wanted = append(w.wanted, [2]*simNode{n, o})
			}
		}
	}
}

// settle lets everything happen that can until nothing can. Links that are
// wanted and not there are dialed, as an executor does.
func (w *simWorld) settle() {
	w.healed = w.now
	var ms []move
	for {
		if ms = w.moves(ms[:0]); len(ms) > 0 {
			w.do(ms[w.rng.IntN(len(ms))])
			if w.quietMoves++; w.quietMoves > 50_000 {
				w.failf("not at rest after %d moves", w.quietMoves)
			}
			continue
		}
		if !w.redial() && !w.fireTimers() {
			break
		}
		if w.ticks++; w.ticks > 1000 {
			w.failf("timers fire for ever, at %d ms", w.now-w.healed)
		}
		if w.quietMillis = w.now - w.healed; w.quietMillis > 600_000 {
			w.failf("not at rest after %d ms", w.quietMillis)
		}
	}
}

func (w *simWorld) redial() (dialed bool) {
	for _, pair := range w.wanted {
		if !w.linked(pair[0], pair[1]) {
			if w.rng.IntN(2) == 0 {
				slices.Reverse(pair[:])
			}
			w.connect(pair[0], pair[1])
			dialed = true
			if w.dials++; w.dials > 500 {
				w.failf("dialed %d times", w.dials)
			}
		}
	}
	return dialed
}
