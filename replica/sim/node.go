package sim

import (
	"encoding/binary"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// Node is a simulated node: a device with a disk and a clock, and a process
// that may end at any time. An App acts on it.
type Node struct {
	world    *world
	number   int
	id       crdt.NodeID
	name     string
	copies   int // of how many it is one more
	targets  []*Node
	features []protocol.Feature
	class    protocol.Class
	grants   credential // what is not whole; replaced, never changed

	clock    wallClock
	disk     map[string]image // of a process that is not running
	backup   map[string]image
	slow     int // how many times slower its disk is
	failing  int // of a thousand jobs
	jobCount uint64
	// revocations are those it knows of, on disk.
	revocations []protocol.Revocation

	running bool
	run     uint64
	machine *protocol.Machine
	spaces  []*space
	ends    []*end
	builds  []*build
	queues  []*queue
	offers  []*offer
	timer   uint64
	dialing map[*Node]bool
	late    *lateFrame // of a link that is closed
}

// Name names the node: n0, n1 and so on; a copy has one stroke more.
func (n *Node) Name() string { return n.name }

// WallMillis returns what the node's clock says, right or wrong, in
// milliseconds since 1970.
func (n *Node) WallMillis() int64 { return n.clock.at(n.world.schedule.now) }

// Running reports whether the process runs. No App acts where it does not.
func (n *Node) Running() bool { return n.running }

// Namespaces returns the names of the open namespaces, ordered.
func (n *Node) Namespaces() (names []string) {
	for _, sp := range n.spaces {
		names = append(names, sp.name)
	}
	return names
}

// Update runs fn as one transaction in an open namespace, as
// replica.Namespace's does: it is visible at once, and on disk, and sent to
// others, a little later. If fn returns an error nothing has happened. A
// namespace that the node may only read answers ErrReadOnly.
func (n *Node) Update(namespace string, fn func(crdt.Tx) error) (Commit, error) {
	sp := n.space(namespace)
	if sp == nil {
		return Commit{}, errNoNamespace
	}
	if sp.reads() {
		return Commit{}, ErrReadOnly
	}
	c, err := sp.update(fn)
	n.world.count.Transactions++
	return c, err
}

// View reads one snapshot of an open namespace.
func (n *Node) View(namespace string, fn func(crdt.View) error) error {
	sp := n.space(namespace)
	if sp == nil {
		return errNoNamespace
	}
	return fn(view{sp.visible, sp.lineage, n.WallMillis()})
}

// Whole reports whether in the end what the node reads of a namespace must be what
// the history says, and what others read. It need not be if some disk lost
// something of it in silence (Rot), or if the node may only read, and has more
// than those who may write: that stays with it.
func (n *Node) Whole(namespace string) bool {
	sp, writers := n.space(namespace), n.world.writers(namespace)
	return !n.world.rots(namespace) && sp != nil &&
		(!sp.reads() || len(writers) > 0 && sp.visible.past.Expand().Equal(writers[0].visible.past.Expand()))
}

// Vector returns what the node covers of an open namespace, expanded.
func (n *Node) Vector(namespace string) crdt.Vector {
	if sp := n.space(namespace); sp != nil {
		return sp.visible.past.Expand()
	}
	return nil
}

func (n *Node) space(name string) *space {
	for _, sp := range n.spaces {
		if sp.name == name {
			return sp
		}
	}
	return nil
}

// diskOf returns what a power cut would leave, or has left, of a namespace.
func (n *Node) diskOf(name string) (im image, found bool) {
	if sp := n.space(name); sp != nil {
		return sp.image(sp.durable), true
	}
	im, found = n.disk[name]
	return im, found && !n.running
}

func (n *Node) has(f protocol.Feature) bool { return slices.Contains(n.features, f) }

// instanceOf returns the instance of a run.
func (n *Node) instanceOf(run uint64) (at protocol.Instance) {
	binary.BigEndian.PutUint32(at[:], uint32(n.number+1))
	binary.BigEndian.PutUint32(at[4:], uint32(run))
	return at
}

// after does something later, if the process still runs then.
func (n *Node) after(millis int64, do func()) { n.afterIn(n.run, millis, do) }

func (n *Node) afterIn(run uint64, millis int64, do func()) {
	n.world.schedule.after(millis, func() {
		if n.running && n.run == run {
			do()
		}
	})
}

// post does something soon: what an executor posts to the machine's inbox.
func (n *Node) post(do func()) {
	d := n.job("post")
	n.after(int64(d.IntN(3)), do)
}

// job draws what becomes of a job.
func (n *Node) job(what string) Draw {
	n.jobCount++
	return n.world.draw(what, uint64(n.number), n.jobCount)
}

func (n *Node) diskDelay() int64 {
	d := n.job("disk")
	return int64(1+d.IntN(8)) * int64(1+n.slow)
}

// start starts the process from what is on disk.
func (n *Node) start() {
	w := n.world
	n.run++
	n.running = true
	n.machine = protocol.New(protocol.Config{
		Node: n.id, Instance: n.instanceOf(n.run), Cluster: [32]byte{1}, Features: n.features, Revocations: n.revocations,
	})
	n.spaces, n.ends, n.builds, n.queues, n.offers, n.dialing = nil, nil, nil, nil, nil, map[*Node]bool{}
	for _, name := range w.names {
		if im, found := n.disk[name]; found {
			n.spaces = append(n.spaces, n.load(name, im))
		}
	}
	n.disk = nil
	for _, sp := range n.spaces {
		n.step(protocol.Opened{Namespace: sp, Durable: sp.durable.past})
	}
	for _, t := range n.targets {
		n.redial(t)
	}
}

// stop ends the process. What is left is on disk; of what was not synced the
// power cut leaves a beginning, as a log does.
func (n *Node) stop(d *Draw) {
	n.disk = map[string]image{}
	for _, sp := range n.spaces {
		left := sp.durable
		if len(sp.log) > 0 {
			kept := "unsynced-forgotten"
			if d.In(500) {
				i := d.IntN(len(sp.log))
				if left, kept = sp.log[i], "unsynced-kept-in-part"; i == len(sp.log)-1 {
					kept = "unsynced-kept"
				}
			}
			n.world.fault(kept)
		}
		n.disk[sp.name] = sp.image(left)
		sp.closed = true
	}
	for _, e := range slices.Clone(n.ends) {
		e.close()
	}
	n.running = false
	n.spaces, n.ends = nil, nil
}

// open opens a namespace that is not there.
func (n *Node) open(name string) {
	if n.space(name) != nil || !n.opens(name) {
		return
	}
	sp := n.load(name, image{})
	n.spaces = append(n.spaces, sp)
	slices.SortFunc(n.spaces, func(a, b *space) int {
		return slices.Index(n.world.names, a.name) - slices.Index(n.world.names, b.name)
	})
	n.step(protocol.Opened{Namespace: sp, Durable: sp.durable.past})
}

// drop drops a namespace.
func (n *Node) drop(name string) {
	sp := n.space(name)
	if sp == nil {
		return
	}
	sp.closed = true
	n.spaces = slices.DeleteFunc(n.spaces, func(o *space) bool { return o == sp })
	for _, b := range slices.Clone(n.builds) {
		if b.space == sp && b.waits { // it is never on disk
			b.end(errCanceled)
		}
	}
	n.step(protocol.Closed{Namespace: name})
	n.world.ledger.forgive(name)
}

// redial dials a node that this one is to be linked with, again and again.
func (n *Node) redial(to *Node) {
	if !n.running || !slices.Contains(n.targets, to) || n.dialing[to] || n.linkedWith(to) ||
		n.knowsOut(to.id) || to.knowsOut(n.id) { // transports refuse each other
		return
	}
	n.dialing[to] = true
	d := n.job("redial")
	n.after(int64(50+d.IntN(2000)), func() {
		n.dialing[to] = false
		if !n.linkedWith(to) {
			n.world.dial(n, to)
			n.redial(to)
		}
	})
}

func (n *Node) linkedWith(to *Node) bool {
	return slices.ContainsFunc(n.ends, func(e *end) bool { return e.far.node == to && e.far.run == to.run && !e.down })
}

func (n *Node) endOf(id protocol.LinkID) *end {
	for _, e := range n.ends {
		if e.id == id {
			return e
		}
	}
	return nil
}

// forget ends what was being done for an end of a link.
func (n *Node) forget(e *end) {
	n.offers = slices.DeleteFunc(n.offers, func(o *offer) bool { return o.end == e })
	for _, b := range slices.Clone(n.builds) {
		if b.Link == e.id && b.sending { // its next frame never goes
			b.end(errCanceled)
		}
	}
	for _, q := range slices.Clone(n.queues) {
		if q.link == e.id {
			q.next()
		}
	}
}
