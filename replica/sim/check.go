package sim

import "slices"

// checker checks one thing that must hold. It returns what does not, or "".
type checker struct {
	name string
	// state checks a namespace's state, when it has changed; before is the one
	// that was checked last in this run of the node.
	state func(w *world, sp *space, before *state) string
	// node checks a node, after each step of it.
	node func(w *world, n *Node) string
	// settled checks a node once all hold the same.
	settled func(w *world, n *Node) string
}

// newCheckers returns all of them: a file each.
func newCheckers() []checker {
	return []checker{vectors, records, reads, bounds, lasting, digests, collected}
}

// check checks what must hold after a step of a node.
func (w *world) check(n *Node) {
	for _, sp := range slices.Clone(n.spaces) {
		if sp.checked == sp.visible {
			continue
		}
		w.count.Checks++
		for i := range w.checkers {
			if c := &w.checkers[i]; c.state != nil {
				w.found(c, n, c.state(w, sp, sp.checked))
			}
		}
		sp.checked = sp.visible
	}
	for i := range w.checkers {
		if c := &w.checkers[i]; c.node != nil {
			w.found(c, n, c.node(w, n))
		}
	}
}

// checkSettled checks what must hold in the end, and asks the App.
func (w *world) checkSettled() {
	w.askApp()
	for i := range w.checkers {
		for _, n := range w.nodes {
			if c := &w.checkers[i]; c.settled != nil {
				w.found(c, n, c.settled(w, n))
			}
		}
	}
	w.askApp() // all was collected meanwhile
}

func (w *world) askApp() {
	if err := w.app.Settled(w.nodes); err != nil {
		w.failf("app", "%v", err)
	}
}

func (w *world) found(c *checker, n *Node, what string) {
	if what != "" {
		w.failf(c.name, "%s: %s", n.name, what)
	}
}
