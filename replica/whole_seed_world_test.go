package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/crdttest"
	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// seedWorld is a fleet that lives through a plan.
type seedWorld struct {
	*wholeFleet
	plan      *sim.Plan
	verdict   *verdict
	wire      *packetLog
	members   []*seedNode
	cuts      map[[2]*seedNode]bool
	moves     int // new addresses so far
	happened  map[sim.Kind]int
	outage    chan struct{} // holds a token if a node may have lost power
	histories map[string]*crdttest.History[wholeOp]
	anew      int // repairs whose namespaces were had anew
}

// seedNode is one of its nodes, and what happened to it.
type seedNode struct {
	*wholeNode
	number   int
	home     string    // its first address, which the others know
	drive    *seedDisk // of this run, or the last
	clock    offsetClock
	port     *port
	fate     fates
	backup   []byte
	rotten   map[string]crdt.Vector // what it had when a bit of its disk was flipped, until it has it again
	unnamed  bool                   // time does not tell what was repaired of it: namespaces are to be had anew
	mending  bool                   // it starts after a repair
	careless bool                   // what its disk is: seedDisk
	armed    []diskFault            // what its disk meets from the next start on
	room     diskRoom               // what its disk has
	roomy    time.Time              // when it has room again
	back     time.Time              // when it starts again, if it does not run
	held     map[string]crdt.Vector // what was on its disk, by namespace
}

func (m *seedNode) String() string { return fmt.Sprintf("node %d", m.number) }

func newSeedWorld(p *sim.Plan, tell func(string)) *seedWorld {
	w := &seedWorld{
		plan: p, verdict: &verdict{}, wire: newPacketLog(tell), cuts: map[[2]*seedNode]bool{},
		happened: map[sim.Kind]int{}, histories: map[string]*crdttest.History[wholeOp]{},
	}
	for _, name := range p.Namespaces {
		w.histories[name] = &crdttest.History[wholeOp]{}
	}
	return w
}

// draw returns the chance that a number stands for.
func (w *seedWorld) draw(n uint64) *rand.Rand { return rand.New(rand.NewPCG(w.plan.Seed, n)) }

func chosen[T any](d *rand.Rand, all ...T) T { return all[d.IntN(len(all))] }

// toThisAge is what has to pass in a bubble, which begins in 2000, for it to be
// later than the start of the process. quic-go counts time from that, and takes
// packets that it gave no time for ones of then: lost long ago, or, where then
// is yet to come, never.
const toThisAge = 100 * 365 * 24 * time.Hour

// live is the whole story, in a bubble.
func (w *seedWorld) live() {
	<-time.After(toThisAge + time.Duration(w.plan.Seed%1e9)) // a steady runtime draws from the instant
	w.wire.began = time.Now()
	d := w.draw(0)
	w.outage = make(chan struct{}, 1)
	w.wholeFleet = &wholeFleet{t: w.verdict, net: simnet.New(simnet.Options{
		Seed:    w.plan.Seed,
		Latency: chosen(d, time.Millisecond, 10*time.Millisecond, 80*time.Millisecond),
		Jitter:  chosen(d, time.Millisecond, 20*time.Millisecond),
	})}
	w.verdict.hear(func() {
		w.populate(d)
		for _, h := range w.plan.Happenings {
			w.until(w.wire.began.Add(time.Duration(h.At) * time.Millisecond))
			w.happen(h)
		}
		w.heal()
		w.agree()
	})
	w.wire.end()
	w.verdict.hear(w.close)
}

// populate makes the nodes.
func (w *seedWorld) populate(d *rand.Rand) {
	var err error
	if w.authority, err = transport.NewAuthority(nil); err != nil {
		w.t.Fatal(err)
	}
	o := Options{Retention: chosen(d, time.Minute, DefaultRetention)}
	if happens(w.plan, sim.Collect) {
		o.Retention = time.Minute
	}
	for i := range w.plan.Nodes {
		identity, err := w.authority.Enroll(nil, transport.AllNamespaces())
		if err != nil {
			w.t.Fatal(err)
		}
		o.Peers = nil
		for j := range w.plan.Nodes {
			if j != i {
				o.Peers = append(o.Peers, packetAddress(j))
			}
		}
		w.start(w.add(&wholeNode{identity: identity, disk: vfs.NewCrashableMem(), options: o}))
	}
}

// add adds a node, which is to be opened.
func (w *seedWorld) add(n *wholeNode) *seedNode {
	m := &seedNode{wholeNode: n, number: len(w.members), held: map[string]crdt.Vector{}}
	m.home, m.careless = packetAddress(m.number), w.draw(uint64(m.number)).IntN(2) == 0
	n.fleet, n.address = w.wholeFleet, m.home
	n.options.Now = m.clock.now
	n.listen = func() (transport.Network, error) { return w.listen(m) }
	w.members, w.nodes = append(w.members, m), append(w.nodes, n)
	return m
}

// listen opens a node's network.
func (w *seedWorld) listen(m *seedNode) (transport.Network, error) {
	socket, err := w.net.ListenPacket(m.address)
	if err != nil {
		return nil, err
	}
	m.port = &port{PacketConn: socket, wire: w.wire, fate: m.fate, seed: w.plan.Seed}
	return transport.Listen(m.identity, transport.Options{
		Conn: m.port, KeepAlive: defaultKeepAlive, Now: m.clock.now, IgnoreExpiry: true,
		Doubts: func() {
			if db := m.db; db != nil && db.mesh != nil {
				db.doubts()
			}
		},
	})
}

// until lets time pass until then, and has nodes start whose time has come.
func (w *seedWorld) until(then time.Time) {
	w.pass(time.Until(then))
	for _, m := range w.members {
		w.tend(m)
	}
	synctest.Wait()
}

// pass lets time pass, and ends nodes at once that lose power.
func (w *seedWorld) pass(d time.Duration) {
	for end := time.Now().Add(d); ; {
		select {
		case <-w.outage:
			for _, m := range w.members {
				w.bury(m)
			}
		case <-time.After(time.Until(end)):
			synctest.Wait()
			return
		}
	}
}

// apart is what passes between what is done to one node and to the next, so that
// their timers do not end in one instant: in which order they then fire is
// chance. It divides nothing that a timer is set to.
const apart = 1_370_117 * time.Nanosecond

func (w *seedWorld) start(m *seedNode) {
	w.wire.note("-- %v starts", m)
	w.mount(m)
	if err := m.tryOpen(); err != nil {
		w.failedToStart(m, err)
	}
	if m.unnamed && m.db != nil {
		w.haveAnew(m)
	}
	w.pass(apart)
}

// heal ends all faults.
func (w *seedWorld) heal() {
	w.wire.note("-- all is well again")
	clear(w.cuts)
	for _, m := range w.members {
		m.clock.set(0)
		m.setFate(fates{})
		w.healDisk(m)
		w.move(m, m.home)
	}
	for _, m := range w.members {
		w.pass(apart)
		if err := m.db.NetworkChanged(); err != nil {
			w.t.Fatal(err)
		}
		for _, name := range w.plan.Namespaces {
			m.namespace(name)
		}
	}
}

// Time for nodes to hold the same once all is well, to collect removals, and
// to hold the same after that.
const (
	timeToConverge = 10 * time.Minute
	timeToCollect  = 5 * time.Minute
)

// agree waits until all nodes hold the same, and checks what that is; and
// once more when they have collected what can be collected.
func (w *seedWorld) agree() {
	for _, wait := range []time.Duration{0, timeToCollect} {
		w.pass(wait)
		for end := time.Now().Add(timeToConverge); !w.allLevel(); w.pass(time.Second) {
			if time.Now().After(end) {
				w.t.Fatalf("the nodes do not hold the same after %v: %s", timeToConverge, w.positions())
			}
		}
		w.wire.note("-- all hold the same")
		w.checkAll()
	}
	for _, m := range w.members {
		if err := m.db.store.Check(context.Background()); err != nil {
			w.t.Fatalf("%v: %v", m, err)
		}
	}
}

func (w *seedWorld) allLevel() bool {
	for _, name := range w.plan.Namespaces {
		if !w.level(name) {
			return false
		}
	}
	return true
}

// positions says how far each node is.
func (w *seedWorld) positions() (text string) {
	for _, name := range w.plan.Namespaces {
		for _, m := range w.members {
			text += fmt.Sprintf("\n%v, %s: %v", m, name, m.namespace(name).Vector())
		}
	}
	return text
}
