package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// world is a run: nodes, what is between them, and what happens to them.
type world struct {
	plan     *Plan
	app      App
	trace    func(string)
	schedule schedule
	names    []string // of namespaces, ordered
	nodes    []*Node
	ledger   ledger
	cuts     map[[2]int]bool // from, to: nothing passes
	checkers []checker
	seen     observation // of the state that is checked
	revoked  map[crdt.NodeID]bool
	count    Count
	hash     fingerprint

	writerIDs, links, linkIDs uint64
	latency                   int // milliseconds, one way; half of that is chance
	lossPerMille              int
	healed                    int64 // when the faults ended; 0: they have not
	lastChange                int64 // when a node last came to hold something
}

// newWorld makes the nodes of a plan.
func newWorld(p *Plan, app App, trace func(string)) *world { // nothing runs yet
	w := &world{plan: p, app: app, trace: trace, names: p.Namespaces, cuts: map[[2]int]bool{}, revoked: map[crdt.NodeID]bool{}}
	w.ledger = ledger{world: w, spaces: map[string]*spaceLedger{}, dots: map[crdt.Dot]bool{}, last: map[crdt.WriterID]uint64{}}
	w.count = Count{Worlds: 1, Closes: map[protocol.Code]int{}, Happened: map[Kind]int{}, Faults: map[string]int{}}
	w.checkers = newCheckers()
	d := w.draw("world")
	w.latency = pick(&d, 1, 1, 5, 40, 300)
	w.lossPerMille = pick(&d, 0, 0, 20, 200)
	for i := range p.Nodes {
		n := w.newNode(i)
		for _, name := range w.names {
			if n.opens(name) {
				n.disk[name] = image{}
			}
		}
	}
	w.connect()
	return w
}

func (w *world) draw(what string, parts ...uint64) Draw {
	d := newDraw(w.plan.Seed, what, parts...)
	w.hash.number(d.state)
	return d
}

// fault counts something that goes wrong.
func (w *world) fault(name string) { w.count.Faults[name]++ }

func (w *world) tracef(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf("%8d  ", w.schedule.now) + fmt.Sprintf(format, args...))
	}
}

// failf ends the run: what a check says must hold does not.
func (w *world) failf(check, format string, args ...any) {
	panic(&Failure{Seed: w.plan.Seed, At: w.schedule.now, Check: check, Text: fmt.Sprintf(format, args...), Plan: w.plan})
}

// newWriter returns an id that no writer had.
func (w *world) newWriter() (id crdt.WriterID) {
	w.writerIDs++
	binary.BigEndian.PutUint64(id[:], mix(w.writerIDs*golden+w.plan.Seed))
	binary.BigEndian.PutUint64(id[8:], w.writerIDs)
	return id
}

// epoch is when runs begin, by a clock that is right: 2026-01-01.
const epoch = 1_767_225_600_000

func (w *world) newNode(i int) *Node {
	d := w.draw("node", uint64(i))
	n := &Node{world: w, number: i, name: fmt.Sprintf("n%d", i), disk: map[string]image{}}
	n.id[0], n.id[1] = byte(i+1), byte(i>>8)
	n.clock.offset = epoch + int64(d.IntN(1000)) - 500
	for _, f := range []protocol.Feature{
		protocol.FeatureReconcile, protocol.FeatureClocks, protocol.FeatureDigest, protocol.FeatureSpare, protocol.FeaturePut,
	} {
		lacks := d.In(w.plan.Older)
		switch {
		case f == protocol.FeatureReconcile && (w.plan.has(Collect) || w.plan.has(Rot)):
			lacks = false // whoever collects cannot sync with a release before that
		case f == protocol.FeatureDigest && w.plan.has(Rot):
			lacks = false // nobody else would notice
		}
		if !lacks {
			n.features = append(n.features, f)
		}
	}
	if d.In(100) {
		n.class = protocol.Class{Metered: true, Least: protocol.PriorityBulk}
	}
	if older := w.draw("columns", uint64(i)); !older.In(w.plan.Older) {
		n.features = append(n.features, protocol.FeatureColumns)
	}
	w.drawGrants(n)
	w.nodes = append(w.nodes, n)
	return n
}

// connect says who dials whom: a tree drawn at random, and some links more.
func (w *world) connect() {
	d := w.draw("topology")
	more := pick(&d, 0, 200, 500, 1000)
	for i, n := range w.nodes {
		if i == 0 {
			continue
		}
		parent := d.IntN(i)
		for j, o := range w.nodes[:i] {
			if j == parent || d.In(more) {
				if d.In(500) {
					n.targets = append(n.targets, o)
				} else {
					o.targets = append(o.targets, n)
				}
			}
		}
	}
}

// cut reports whether nothing passes from a node to another.
func (w *world) cut(from, to *Node) bool { return w.cuts[[2]int{from.number, to.number}] }

// changed hears that a node holds something else.
func (w *world) changed(sp *space) { w.lastChange = w.schedule.now }

// run lets all that is planned happen, and then has everything mend.
func (w *world) run() {
	for _, n := range w.nodes {
		n.start()
	}
	for _, h := range w.plan.Happenings {
		w.schedule.after(h.At-w.schedule.now, func() { w.happen(h) })
	}
	end := int64(0)
	for _, h := range w.plan.Happenings {
		end = max(end, h.At)
	}
	w.runUntil(end + 1)
	w.heal()
	w.settle()
	w.checkSettled()
}

// maxDeeds bounds what one run does: more is a loop.
const maxDeeds = 2_000_000

func (w *world) runUntil(at int64) {
	for w.schedule.next(at) {
		if w.schedule.count > maxDeeds {
			w.failf("progress", "%d things were done and there is no end", maxDeeds)
		}
	}
}

// heal ends all faults.
func (w *world) heal() {
	w.tracef("all faults end")
	w.healed = w.schedule.now
	clear(w.cuts)
	if len(w.revoked) > 0 || slices.ContainsFunc(w.nodes, func(n *Node) bool { return n.grants != nil }) {
		w.connectAll()
	}
	for _, n := range w.nodes {
		n.slow, n.failing = 0, 0
		if !n.running {
			n.start()
		}
		n.meter(protocol.Class{})
		for _, name := range w.names {
			n.open(name)
		}
		for _, e := range slices.Clone(n.ends) {
			e.mended()
		}
		for _, t := range n.targets {
			n.redial(t)
		}
	}
}

// maxSettleMillis is within what nodes that can reach each other are to hold the
// same: timeouts of links, breakers and fetches add up.
const maxSettleMillis = 300_000

// maxCalmMillis is the same where no link has ended and nothing has failed: then
// no timeout is due to anything. It is less than a fetch is waited for, and enough
// for the slowest paths, on which a tree of nodes takes seconds.
const maxCalmMillis = protocol.FetchTimeoutMillis - 10_000

// settle runs until all hold the same, and then a little on.
func (w *world) settle() {
	within := int64(maxSettleMillis)
	if w.plan.isCalm() {
		within = maxCalmMillis
	}
	for !w.level() {
		if w.schedule.now > w.healed+within {
			w.failf("convergence", "after %d s nodes do not hold the same: %s", within/1000, w.unlike())
		}
		w.runUntil(w.schedule.now + 250)
	}
	w.count.SettleMillis = w.lastChange - w.healed
	w.mendRot()
	d := w.draw("settle")
	w.runUntil(w.schedule.now + pick[int64](&d, 20_000, 20_000, 20_000, 15*60_000)) // digests are compared in the long one
	for until := w.schedule.now + maxRestMillis; w.busy() && w.schedule.now < until; {
		w.runUntil(w.schedule.now + 250)
	}
}

// maxRestMillis is within what comes to its end what a comparison of digests
// began just before all is checked: snapshots that are compared over slow links. It
// is also enough for the end of a link that hears late that the other has ended.
const maxRestMillis = 60_000

// busy reports whether a member does something for a peer, or has yet to hear of
// a revocation.
func (w *world) busy() bool {
	return slices.ContainsFunc(w.members(), func(n *Node) bool { return n.machine.Load().Jobs > 0 || w.unheard(n) != nil })
}

// level reports whether the vectors of all are equal, and on disk.
func (w *world) level() bool { return w.unlike() == "" }

// unlike tells of a member that does not cover what others do: of who may write
// all that any of them covers, of a reader that at least.
func (w *world) unlike() string {
	for _, name := range w.names {
		writers := w.writers(name)
		for _, sp := range w.holders(name) {
			if sp.durable != sp.visible {
				return sp.node.name + " has not written " + name + " to disk"
			}
			if len(writers) == 0 {
				continue
			}
			first, own := writers[0].visible.past.Expand(), sp.visible.past.Expand()
			if !first.Equal(own) && !(sp.reads() && len(own.Behind(first)) == 0) {
				return fmt.Sprintf("%s has of %s %d transactions, %s has %d", sp.node.name, name,
					sp.visible.past.Transactions(), writers[0].node.name, writers[0].visible.past.Transactions())
			}
		}
	}
	return ""
}

// differs tells of a member that does not hold what others do, which may write.
func (w *world) differs() string {
	if what := w.unlike(); what != "" {
		return what
	}
	for _, name := range w.names {
		all := w.writers(name)
		for _, sp := range all {
			if !bytes.Equal(sp.visible.bytes(), all[0].visible.bytes()) {
				return fmt.Sprintf("%s and %s hold other things of %s", sp.node.name, all[0].node.name, name)
			}
		}
	}
	return ""
}
