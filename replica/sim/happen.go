package sim

import (
	"errors"
	"maps"
	"slices"

	"github.com/anabranch-db/anabranch/replica/protocol"
)

// happen has one thing happen from outside. What cannot be is left out: a plan
// that was made smaller may speak of a node that is not there.
func (w *world) happen(h Happening) {
	if h.A >= len(w.nodes) || h.B >= len(w.nodes) {
		return
	}
	a, b := w.nodes[h.A], w.nodes[h.B]
	d := w.draw(string(h.Kind), h.N)
	if !happenings[h.Kind].down && !a.running {
		return
	}
	w.tracef("-- %s %s %s", h.Kind, a.name, b.name)
	w.count.Happened[h.Kind]++
	happenings[h.Kind].do(w, a, b, &d)
}

// happenings are what can happen, by kind.
var happenings = map[Kind]struct {
	do   func(w *world, a, b *Node, d *Draw)
	down bool // also to a node that does not run
}{
	Act:     {do: (*world).act},
	Cut:     {do: (*world).cutOff, down: true},
	Mute:    {do: (*world).mute, down: true},
	Mend:    {do: (*world).mend, down: true},
	Break:   {do: (*world).breakLinks},
	Twice:   {do: func(w *world, a, b *Node, _ *Draw) { w.dial(a, b) }},
	Tamper:  {do: (*world).tamper},
	Crash:   {do: (*world).crash},
	Clone:   {do: (*world).clone},
	Backup:  {do: (*world).backup},
	Restore: {do: (*world).restore},
	Drop:    {do: (*world).drop},
	Clock:   {do: (*world).setClock},
	Collect: {do: (*world).collect},
	Slow:    {do: func(_ *world, a, _ *Node, d *Draw) { a.slow = pick(d, 0, 10, 500) }},
	Fail:    {do: func(_ *world, a, _ *Node, d *Draw) { a.failing = pick(d, 0, 100, 500) }},
	Urgent:  {do: (*world).prioritize},
	Meter:   {do: (*world).meter},
	Resume:  {do: (*world).resume},
	Revoke:  {do: (*world).revoke, down: true},
	Rot:     {do: (*world).rot},
	Grant:   {do: (*world).withdraw, down: true},
}

// act has the App do something.
func (w *world) act(a, _ *Node, d *Draw) {
	if !a.safe() {
		return
	}
	if err := w.app.Act(a, d); err != nil && !errors.Is(err, ErrReadOnly) {
		w.failf("app", "%s: %v", a.name, err)
	}
}

func (w *world) cutOff(a, b *Node, d *Draw) {
	w.mute(a, b, d)
	w.mute(b, a, d)
}

// mute has nothing pass from a node to another. Links die of it after a time.
func (w *world) mute(a, b *Node, _ *Draw) {
	w.cuts[[2]int{a.number, b.number}] = true
	for _, n := range []*Node{a, b} {
		for _, e := range n.ends {
			if e.far.node == a || e.far.node == b {
				e.expire()
				e.far.expire()
			}
		}
	}
}

func (w *world) mend(a, b *Node, _ *Draw) {
	delete(w.cuts, [2]int{a.number, b.number})
	delete(w.cuts, [2]int{b.number, a.number})
	for _, n := range []*Node{a, b} {
		for _, e := range slices.Clone(n.ends) {
			if e.far.node == a || e.far.node == b {
				e.mended()
			}
		}
		for _, t := range n.targets {
			n.redial(t)
		}
	}
}

// breakLinks breaks the links of two nodes.
func (w *world) breakLinks(a, b *Node, _ *Draw) {
	for _, e := range slices.Clone(a.ends) {
		if e.far.node == b {
			e.linkDown()
		}
	}
}

// crash ends a process, with or without the power, and starts it later.
func (w *world) crash(a, _ *Node, d *Draw) {
	a.stop(d)
	w.startLater(a, d)
}

func (w *world) startLater(a *Node, d *Draw) {
	w.schedule.after(int64(d.IntN(pick(d, 10, 1000, 60_000))), func() {
		if !a.running {
			a.start()
		}
	})
}

// maxNodes bounds how many copies there are.
const maxNodes = 10

// clone adds a copy of a device, with what is on its disk.
func (w *world) clone(a, _ *Node, _ *Draw) {
	if len(w.nodes) >= maxNodes || w.healed > 0 {
		return
	}
	c := w.newNode(len(w.nodes))
	a.copies++
	c.id, c.features, c.class, c.clock, c.grants = a.id, a.features, a.class, a.clock, a.grants
	c.revocations = slices.Clone(a.revocations)
	c.name = a.name + "'"
	c.targets = slices.Clone(a.targets)
	for _, n := range w.nodes {
		if slices.Contains(n.targets, a) {
			n.targets = append(n.targets, c)
			n.redial(c)
		}
	}
	for _, sp := range a.spaces {
		c.disk[sp.name] = sp.image(sp.durable)
	}
	c.start()
}

// backup takes a backup of a node.
func (w *world) backup(a, _ *Node, _ *Draw) {
	a.backup = map[string]image{}
	for _, sp := range a.spaces {
		a.backup[sp.name] = sp.image(sp.durable)
	}
}

// restore puts a backup in the place of a disk, which is lost.
func (w *world) restore(a, _ *Node, d *Draw) {
	if a.backup == nil {
		return
	}
	a.stop(d)
	a.disk = maps.Clone(a.backup)
	for _, name := range w.names {
		w.ledger.forgive(name)
	}
	w.startLater(a, d)
}

// drop drops a namespace, or opens one that was dropped.
func (w *world) drop(a, _ *Node, d *Draw) {
	name := w.names[d.IntN(len(w.names))]
	if a.space(name) == nil {
		a.open(name)
		return
	}
	a.drop(name)
}

// collect drops removals, and what has expired by the true time.
func (w *world) collect(a, _ *Node, d *Draw) {
	for _, sp := range a.spaces {
		removable := sp.durable.past.Clone()
		if d.In(500) { // some of them
			removable = sp.lineage.Past(nil)
			for _, dot := range sp.durable.past.Normal().Entries() {
				removable.Advance(dot.Writer, 1+uint64(d.IntN(int(dot.Seq))))
			}
		}
		expired := int64(0)
		if d.In(500) {
			expired = epoch + w.schedule.now
		}
		w.count.Collected += sp.collect(removable, expired)
	}
}

// prioritize changes how urgent a namespace is to a node.
func (w *world) prioritize(a, _ *Node, d *Draw) {
	a.step(protocol.Prioritized{Namespace: w.names[d.IntN(len(w.names))], Priority: protocol.Priority(d.IntN(3) - 1)})
}
