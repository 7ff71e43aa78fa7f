package sim

import "maps"

// resume has a process go on from what it was when its backup was taken, as one
// of a virtual machine does that is set back to a snapshot of its memory: with
// the writers of then, of which it may have written more since. That is the one
// case in which a run does not begin with a new writer. Peers that know more of
// it are the sign, and the machine must say so (protocol.Ahead).
func (w *world) resume(a, _ *Node, d *Draw) {
	if a.backup == nil {
		return
	}
	a.stop(d)
	a.disk = maps.Clone(a.backup)
	for name, im := range a.disk {
		im.resumes = true
		a.disk[name] = im
	}
	for _, name := range w.names {
		w.ledger.forgive(name)
	}
	a.start()
}

// safe reports whether a node that was resumed has heard of what it wrote before.
// Until then it could use a dot again, which nothing can prevent that it knows:
// so it does not write.
func (n *Node) safe() bool {
	for _, sp := range n.spaces {
		if n.world.ledger.last[sp.writer] > sp.visible.past.Seq(sp.writer) {
			return false
		}
	}
	return true
}
