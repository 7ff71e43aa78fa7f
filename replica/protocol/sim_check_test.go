package protocol

import "bytes"

// checkMachine checks what must hold in a machine after every step.
func (n *simNode) checkMachine() {
	w := n.world
	if w.rng.IntN(3) > 0 {
		return
	}
	for _, sp := range n.m.spaces {
		if w.rng.IntN(4) == 0 && !sp.normal.Equal(sp.own.Normal()) {
			w.failf("%s: normal form %s of %s", n.name(), w.namer.vector(sp.normal), w.namer.past(sp.own))
		}
		for _, s := range sp.sessions {
			if s.ended || s.space != sp {
				w.failf("%s: a session that has ended is kept", n.name())
			}
			for wr, seq := range s.missing {
				if sp.own.Seq(wr) >= seq {
					w.failf("%s: %s:%d is not missing", n.name(), w.namer.writer(wr), seq)
				}
			}
			if len(s.held) > 0 {
				w.stats.held++
			}
			if s.theirs != nil && !s.known.CoversAll(s.theirs) {
				w.failf("%s: known does not cover what the peer told", n.name())
			}
		}
		if f := sp.fetch; f != nil && f.s.ended {
			w.failf("%s: a fetch outlives its session", n.name())
		}
	}
	for _, b := range n.builds {
		if !b.b.Told.Equal(b.told) || !b.b.From.Expand().Equal(b.from) {
			w.failf("%s: told or known changed while a delta was built", n.name())
		}
	}
}

// checkConverged checks the world when nothing can happen any more.
func (w *simWorld) checkConverged() {
	if late := w.lastMerge - w.healed; late >= FetchTimeoutMillis {
		w.failf("it took %d ms, until a Want had timed out: nobody answered it", late)
	}
	for _, name := range w.names {
		var first *simSpace
		for _, n := range w.nodes {
			sp := n.spaces[name]
			switch {
			case sp == nil:
			case first == nil:
				first = sp
				w.checkOracle(sp)
			case !sp.visible.Vector().Equal(first.visible.Vector()):
				w.failf("%s: %s has %s, %s has %s", name, n.name(), w.namer.vector(sp.visible.Vector()),
					first.node.name(), w.namer.vector(first.visible.Vector()))
			case !bytes.Equal(sp.visible.Bytes(), first.visible.Bytes()):
				w.failf("%s: %s and %s have equal vectors and differ", name, n.name(), first.node.name())
			}
		}
	}
	w.tidy()
	for _, l := range w.links {
		w.checkLink(l)
	}
	for _, n := range w.nodes {
		n.checkIdle()
	}
}

// checkOracle compares a state with the one that the history gives.
func (w *simWorld) checkOracle(sp *simSpace) {
	v, view := sp.visible.Vector(), sp.visible.View()
	for _, k := range w.keys {
		want := w.oracle.expect(sp.name, k, v)
		rec, _ := view.Get(k)
		for i := range rec {
			if !want[rec[i].Dot] {
				w.failf("%s: key %q holds %v, which was superseded", sp.name, string(k), rec[i].Dot)
			}
			delete(want, rec[i].Dot)
		}
		if len(want) > 0 {
			w.failf("%s: key %q lost %v", sp.name, string(k), want)
		}
	}
}

// checkLink compares what the two ends believe of each other.
func (w *simWorld) checkLink(l *simLink) {
	for end := range l.nodes {
		here, there := l.nodes[end].m.byID[l.ids[end]], l.nodes[1-end].m.byID[l.ids[1-end]]
		if here == nil || there == nil {
			w.failf("link %d is up at one end", l.ids[end])
		}
		for _, s := range here.sessions {
			o := there.byName[s.name]
			switch {
			case o == nil:
				w.failf("%s is known at one end", s.name)
			case s.space == nil || o.space == nil:
			case s.number != o.peerNumber:
				w.failf("%s is number %d at one end and %d at the other", s.name, s.number, o.peerNumber)
			case !s.met():
				w.failf("%s has not met at %s", s.name, here.peer.Short())
			case !s.told.Equal(o.theirs):
				w.failf("told %s, arrived %s", w.namer.vector(s.told), w.namer.vector(o.theirs))
			case s.recvEpoch != o.sendEpoch:
				w.failf("epoch %d at one end and %d at the other", s.recvEpoch, o.sendEpoch)
			case !s.live || !s.level() || len(s.missing) > 0 || s.wanted:
				w.failf("%s: live %v, level %v, missing %s", s.name, s.live, s.level(), w.namer.vector(s.missing))
			}
		}
	}
}

// checkIdle checks that nothing is left over in a node.
func (n *simNode) checkIdle() {
	if len(n.m.jobs) > 0 || len(n.m.retries) > 0 {
		n.world.failf("%s: %d jobs, %d retries are left", n.name(), len(n.m.jobs), len(n.m.retries))
	}
	for _, sp := range n.m.spaces {
		if sp.fetch != nil || sp.nextAt != 0 || sp.heldAt != 0 || len(sp.coming) > 0 {
			n.world.failf("%s: %s still fetches", n.name(), sp.name)
		}
		if !sp.own.Expand().Equal(n.spaces[sp.name].visible.Vector()) {
			n.world.failf("%s: %s is behind its store", n.name(), sp.name)
		}
	}
}
