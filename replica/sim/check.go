package sim

import (
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// checker checks one thing that must hold. It returns what does not, or "".
type checker struct {
	name string
	// state checks a namespace's state, when it has changed; before is the one
	// that was checked last in this run of the node. What both differ in is in
	// world.seen.
	state func(w *world, sp *space, before *state) string
	// node checks a node, after each step of it.
	node func(w *world, n *Node) string
	// settled checks a member once all hold the same.
	settled func(w *world, n *Node) string
}

// newCheckers returns all of them: a file each. That no dot is used twice is
// checked where one is used (ledger.issue), and that no link is closed for what
// no peer did where one is closed (Node.closeLink).
func newCheckers() []checker {
	return []checker{
		vectors, closed, contents, transactions, removed, reads, clocks, bounds, // always
		lasting, digests, links, revocations, rounds, collected, // in the end
	}
}

// observation is what is new in the state that is checked.
type observation struct {
	differences
	news []crdt.Interval
}

// observe compares a state with the one that was checked before it, and with
// the history.
func (w *world) observe(sp *space, before *state) {
	past := sp.lineage.Past(nil)
	if before != nil {
		past = before.past
	}
	w.seen.news = sp.visible.past.Beyond(past)
	c := w.ledger.of(sp.name).compare(sp, true)
	if before == nil {
		w.seen.differences = c.all().differences
	} else {
		w.seen.differences = c.since(before, w.seen.news).differences
	}
	w.hash.state(sp.visible, before)
}

// check checks what must hold after a step of a node.
func (w *world) check(n *Node) {
	for _, sp := range slices.Clone(n.spaces) {
		if sp.checked == sp.visible {
			continue
		}
		w.count.Checks++
		w.observe(sp, sp.checked)
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
		for _, n := range w.members() {
			if c := &w.checkers[i]; c.settled != nil {
				w.found(c, n, c.settled(w, n))
			}
		}
	}
	w.askApp() // all was collected meanwhile
}

func (w *world) askApp() {
	if err := w.app.Settled(w.members()); err != nil {
		w.failf("app", "%v", err)
	}
}

func (w *world) found(c *checker, n *Node, what string) {
	if what != "" {
		w.failf(c.name, "%s: %s", n.name, what)
	}
}
